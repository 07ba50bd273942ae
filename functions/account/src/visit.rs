//! A browser's visit: what it sends of itself, and the pages it gets back.

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

use crate::page;

/// What API Gateway and the browser say of a visit.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The caller's address, as API Gateway saw it.
    pub(crate) address: String,
    cookies: String,
}

impl Visit {
    /// The cookie of this name.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.split(';');
        cookies.find_map(|it| it.trim().strip_prefix(name)?.strip_prefix('='))
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
        })
    }
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) String);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
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
        let mut response = Page(page::problem(&self.0.message)).into_response();
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

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let mut response = Page(String::new()).into_response();
        *response.status_mut() = StatusCode::SEE_OTHER;
        let cookie = self.cookie.as_deref().map(HeaderValue::from_str).transpose();
        match (HeaderValue::from_str(&self.location), cookie) {
            (Ok(location), Ok(cookie)) => {
                response.headers_mut().insert(LOCATION, location);
                if let Some(cookie) = cookie {
                    response.headers_mut().insert(SET_COOKIE, cookie);
                }
                response
            }
            (Err(error), _) | (_, Err(error)) => Problem(HttpError::unavailable(error)).into_response(),
        }
    }
}
