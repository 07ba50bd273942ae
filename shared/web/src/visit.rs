//! A browser's visit: what it sends of itself, and the pages it gets back.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderName, HeaderValue, StatusCode, Uri,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE},
        request::Parts,
        uri::PathAndQuery,
    },
    response::{IntoResponse, Response},
};
use cloud::http::HttpError;
use lambda_http::request::RequestContext;

use maud::Markup;

use crate::{
    Site, frame,
    tongue::{Said, Tongue},
};

/// What API Gateway and the browser say of a visit.
#[derive(Debug, Default)]
pub struct Visit {
    /// The caller's address, as API Gateway saw it.
    pub address: String,
    cookies: String,
    /// The language of the pages that it gets.
    pub tongue: Tongue,
    /// The language that the address asks for, which the addresses after it ask for too.
    pub asked: Option<Tongue>,
    /// What the browser says of where the request comes from (`Sec-Fetch-Site`); "" from one that does not say.
    from: String,
}

impl Visit {
    /// Refuses a form that a page of another site has sent.
    pub fn must_be_ours(&self) -> Result<(), HttpError> {
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
pub struct Cookie(pub &'static str);

impl Cookie {
    fn name(self, site: &impl Site) -> String {
        let prefix = if site.plain_http() { "" } else { "__Host-" };
        format!("{prefix}{}", self.0)
    }

    /// Its value in this visit.
    pub fn of<'a>(self, site: &impl Site, visit: &'a Visit) -> Option<&'a str> {
        let name = self.name(site);
        let mut cookies = visit.cookies.split(';');
        let value = cookies.find_map(|it| it.trim().strip_prefix(&name)?.strip_prefix('='));
        value.filter(|it| !it.is_empty())
    }

    /// As `Set-Cookie` has it.
    pub fn set(self, site: &impl Site, value: &str, life: Duration) -> String {
        let (name, seconds) = (self.name(site), life.as_secs());
        let secure = if site.plain_http() { "" } else { "Secure; " };
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
            tongue: Tongue::of(&parts.uri, &parts.headers),
            asked: Tongue::asked(&parts.uri),
            from: text(parts.headers.get("sec-fetch-site")),
        })
    }
}

fn text(header: Option<&HeaderValue>) -> String {
    let text = header.and_then(|it| it.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// Where a sign-in leads back to: the address of a page of ours, as seen from `/v1/`. None for anything else, whoever wrote
/// it.
pub fn way_back(next: &str) -> Option<&str> {
    let path = next.split('?').next().unwrap_or_default();
    let ours = path == "studio" || ["studio/", "groups/"].iter().any(|it| path.starts_with(it));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%/?&=@:+".contains(&byte);
    let straight = !path.contains('%') && !path.contains("..") && !next.contains("//");
    (ours && straight && next.len() <= LONGEST && next.bytes().all(plain)).then_some(next)
}

/// Longest address that a sign-in leads back to, bytes.
const LONGEST: usize = 1000;

/// To the sign-in, and from there back to this page.
pub(crate) fn to_sign_in(uri: &Uri) -> Redirect {
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    match path.split_once("/v1/").and_then(|(_, below)| way_back(below)) {
        Some(next) => {
            let up = "../".repeat(next.split('?').next().unwrap_or_default().matches('/').count());
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("next", next)
                .finish();
            Redirect::to(format!("{up}sign-in?{query}"))
        }
        None => Redirect::to("sign-in"),
    }
}

/// A page, perhaps with a cookie as `Set-Cookie` has it.
#[derive(Debug)]
pub struct Page(pub Markup, pub Option<String>);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.0.into_string().into_response();
        if let Some(cookie) = self.1.and_then(|it| HeaderValue::from_str(&it).ok()) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        let headers: [(HeaderName, &'static str); 3] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, frame::POLICY),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl Page {
    /// The page, which may also load what these directives of a content security policy allow.
    pub fn with(self, more: &str) -> Response {
        let mut response = self.into_response();
        let policy = format!("{}; {more}", frame::POLICY);
        // What is no header is not added, which allows less.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// The page with another status than 200.
    pub fn status(self, status: StatusCode) -> Response {
        let mut response = self.into_response();
        *response.status_mut() = status;
        response
    }
}

/// What went wrong, as a page.
#[derive(Debug)]
pub struct Problem(HttpError);

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
        let mut response = Page(frame::problem(Tongue::English, &self.0.message), None).into_response();
        response.extensions_mut().insert(Said(self.0.message.clone()));
        *response.status_mut() = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.0.note(&mut response);
        response
    }
}

/// Another page to go to.
#[derive(Debug)]
pub struct Redirect {
    /// Its address.
    pub location: String,
    /// A cookie for the browser, as `Set-Cookie` has it.
    pub cookie: Option<String>,
}

impl Redirect {
    /// To this address.
    pub fn to(location: impl Into<String>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_back_to_our_own_pages_alone() {
        for good in [
            "studio",
            "studio?pool=a%20b",
            "studio/act?do=pause&pool=default",
            "groups/01a0/page",
        ] {
            assert_eq!(way_back(good), Some(good));
        }
        let long = format!("studio?{}", "a".repeat(LONGEST));
        for bad in [
            "",
            "account",
            "studios",
            "groups",
            "//evil.example",
            "https://evil.example/studio",
            "studio//evil.example",
            "studio/../../x",
            "studio/%2e%2e/x",
            "studio?a\r\nset-cookie: x",
            "studio?\"><script>",
            "studio\\evil",
            &long,
        ] {
            assert_eq!(way_back(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_way_to_the_sign_in_knows_where_it_began() {
        for (from, to) in [
            ("/v1/account", "sign-in"),
            ("/v1/studio", "sign-in?next=studio"),
            ("/v1/groups/01a0/page", "../../sign-in?next=groups%2F01a0%2Fpage"),
            ("/stage/v1/studio/act?do=x", "../sign-in?next=studio%2Fact%3Fdo%3Dx"),
        ] {
            assert_eq!(to_sign_in(&from.parse().unwrap()).location, to);
        }
    }
}
