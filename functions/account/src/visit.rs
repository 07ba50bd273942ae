//! A browser's visit: what it sends of itself, and the pages it gets back.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use cloud::http::HttpError;
use lambda_http::request::RequestContext;

use maud::Markup;

use crate::{App, page};

/// What API Gateway and the browser say of a visit.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The caller's address, as API Gateway saw it.
    pub(crate) address: String,
    cookies: String,
    /// What the browser says of where the request comes from (`Sec-Fetch-Site`); "" from one that does not say.
    from: String,
}

impl Visit {
    /// Refuses a form that a page of another site has sent.
    pub(crate) fn must_be_ours(&self) -> Result<(), HttpError> {
        if ["", "same-origin", "none"].contains(&self.from.as_str()) {
            Ok(())
        } else {
            Err(HttpError::new(
                403,
                "This was sent by another web page. Open your account yourself and try again.",
            ))
        }
    }
}

/// A cookie of this name: only this host sets it, only over HTTPS, for all its paths, and no script reads it. The local
/// stack speaks plain HTTP, for which browsers take neither the prefix nor `Secure`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookie(pub(crate) &'static str);

impl Cookie {
    fn name(self, app: &App) -> String {
        let prefix = if app.plain_http { "" } else { "__Host-" };
        format!("{prefix}{}", self.0)
    }

    /// Its value in this visit.
    pub(crate) fn of<'a>(self, app: &App, visit: &'a Visit) -> Option<&'a str> {
        let name = self.name(app);
        let mut cookies = visit.cookies.split(';');
        let value = cookies.find_map(|it| it.trim().strip_prefix(&name)?.strip_prefix('='));
        value.filter(|it| !it.is_empty())
    }

    /// As `Set-Cookie` has it.
    pub(crate) fn set(self, app: &App, value: &str, life: Duration) -> String {
        let (name, seconds) = (self.name(app), life.as_secs());
        let secure = if app.plain_http { "" } else { "Secure; " };
        format!("{name}={value}; Path=/; Max-Age={seconds}; {secure}HttpOnly; SameSite=Lax")
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let address = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
        Ok(Self {
            address: address.unwrap_or_default(),
            cookies: cookies.collect::<Vec<_>>().join(";"),
            from: text(parts.headers.get("sec-fetch-site")),
        })
    }
}

fn text(header: Option<&HeaderValue>) -> String {
    let text = header.and_then(|it| it.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// A page, perhaps with a cookie as `Set-Cookie` has it.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) Markup, pub(crate) Option<String>);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.0.into_string().into_response();
        if let Some(cookie) = self.1.and_then(|it| HeaderValue::from_str(&it).ok()) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        let headers: [(HeaderName, &'static str); 3] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, page::POLICY),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What went wrong, as a page.
#[derive(Debug)]
pub(crate) struct Problem(HttpError);

impl<E: Into<HttpError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl cloud::retry::MayConflict for Problem {
    fn is_conflict(&self) -> bool {
        self.0.is_conflict()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Page(page::problem(&self.0.message), None).into_response();
        *response.status_mut() = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.0.note(&mut response);
        response
    }
}

/// Another page to go to.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// Its address.
    pub(crate) location: String,
    /// A cookie for the browser, as `Set-Cookie` has it.
    pub(crate) cookie: Option<String>,
}

impl Redirect {
    /// To this address.
    pub(crate) fn to(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            cookie: None,
        }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        match HeaderValue::from_str(&self.location) {
            Ok(location) => {
                let mut response = Page(Markup::default(), self.cookie).into_response();
                *response.status_mut() = StatusCode::SEE_OTHER;
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Err(error) => Problem(HttpError::unavailable(error)).into_response(),
        }
    }
}
