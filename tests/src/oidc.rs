//! A small, honest OpenID Connect provider: one client, one user who is signed in there already, keys that rotate. It
//! checks what a provider must check (redirect address, PKCE, single use of codes), and lies only when it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use aws_lc_rs::{encoding::AsDer, rsa};
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

/// The one client.
pub const CLIENT: &str = "atelier-client";

struct Key {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn rsa(kid: &str) -> Result<Self> {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).context("no RSA key")?;
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).context("the key has no DER")?;
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(der.as_ref())
        );
        Ok(Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_pem(pem.as_bytes())?,
        })
    }

    fn elliptic(kid: &str) -> Result<Self> {
        Ok(Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_pem(ops::keys::generate()?.private_pem.as_bytes())?,
        })
    }

    fn public(&self) -> Result<Jwk> {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm)?;
        jwk.common.key_id = Some(self.kid.clone());
        Ok(jwk)
    }
}

/// What a code was given out for.
struct Grant {
    redirect: String,
    challenge: String,
    nonce: String,
}

struct Inner {
    issuer: String,
    /// Where browsers may be sent back to.
    redirect: String,
    secret: Option<String>,
    /// The last one signs; all are published.
    keys: Vec<Key>,
    /// Signs in place of the last key, and is not published.
    unpublished: Option<Key>,
    claims: Map<String, Value>,
    unsigned: bool,
    denied: bool,
    down: bool,
    grants: HashMap<String, Grant>,
    keys_read: usize,
}

/// The provider, listening. It ends when it is dropped.
pub struct Provider {
    /// Its issuer, which is its address.
    pub issuer: String,
    inner: Arc<Mutex<Inner>>,
    server: JoinHandle<()>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Provider {
    /// Starts one whose user has these claims, with an RSA key.
    pub async fn start(claims: Value) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Mutex::new(Inner {
            issuer: issuer.clone(),
            redirect: String::new(),
            secret: None,
            keys: vec![Key::rsa("first")?],
            unpublished: None,
            claims: claims.as_object().cloned().unwrap_or_default(),
            unsigned: false,
            denied: false,
            down: false,
            grants: HashMap::new(),
            keys_read: 0,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { issuer, inner, server })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Registers where browsers may be sent back to.
    pub fn register(&self, redirect: &str) {
        redirect.clone_into(&mut self.inner().redirect);
    }

    /// Makes the client a confidential one.
    pub fn with_secret(&self, secret: &str) {
        self.inner().secret = Some(secret.to_owned());
    }

    /// Changes one claim of the user, whether the provider should say so or not; null takes it away.
    pub fn claim(&self, name: &str, value: Value) {
        self.inner().claims.insert(name.to_owned(), value);
    }

    /// Signs with a new elliptic key from now on, beside which the old one stays published.
    pub fn rotate(&self, kid: &str) -> Result<()> {
        self.inner().keys.push(Key::elliptic(kid)?);
        Ok(())
    }

    /// Signs with a key that nobody can know.
    pub fn sign_with_an_unpublished_key(&self, kid: &str) -> Result<()> {
        self.inner().unpublished = Some(Key::rsa(kid)?);
        Ok(())
    }

    /// Hands out tokens with `alg: none`.
    pub fn unsigned(&self) {
        self.inner().unsigned = true;
    }

    /// Lets nobody in.
    pub fn deny(&self, denied: bool) {
        self.inner().denied = denied;
    }

    /// Answers nothing but errors.
    pub fn down(&self, down: bool) {
        self.inner().down = down;
    }

    /// How often its keys were read.
    pub fn keys_read(&self) -> usize {
        self.inner().keys_read
    }
}

type Shared = State<Arc<Mutex<Inner>>>;

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

async fn discovery(State(inner): Shared) -> Response {
    let inner = lock(&inner);
    if inner.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = &inner.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    }))
    .into_response()
}

async fn keys(State(inner): Shared) -> Response {
    let mut inner = lock(&inner);
    inner.keys_read += 1;
    match inner.keys.iter().map(Key::public).collect::<Result<_>>() {
        Ok(keys) => Json(JwkSet { keys }).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn fields(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn authorize(State(inner): Shared, RawQuery(query): RawQuery) -> Response {
    let mut inner = lock(&inner);
    let query = fields(&query.unwrap_or_default());
    let get = |name: &str| query.get(name).cloned().unwrap_or_default();
    if get("client_id") != CLIENT || get("redirect_uri") != inner.redirect {
        return refused("unauthorized_client");
    }
    let openid = get("scope").split(' ').any(|scope| scope == "openid");
    if get("response_type") != "code" || get("code_challenge_method") != "S256" || !openid {
        return refused("invalid_request");
    }
    let mut answer = form_urlencoded::Serializer::new(String::new());
    answer
        .append_pair("state", &get("state"))
        .append_pair("iss", &inner.issuer);
    if inner.denied {
        answer.append_pair("error", "access_denied");
    } else {
        let code = uuid::Uuid::new_v4().to_string();
        answer.append_pair("code", &code);
        let grant = Grant {
            redirect: get("redirect_uri"),
            challenge: get("code_challenge"),
            nonce: get("nonce"),
        };
        inner.grants.insert(code, grant);
    }
    let location = format!("{}?{}", inner.redirect, answer.finish());
    (StatusCode::FOUND, [("location", location)]).into_response()
}

async fn token(State(inner): Shared, headers: HeaderMap, body: String) -> Response {
    let mut inner = lock(&inner);
    if inner.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let form = fields(&body);
    let get = |name: &str| form.get(name).cloned().unwrap_or_default();
    if let Some(secret) = &inner.secret {
        let wanted = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{secret}")));
        if headers.get("authorization").is_none_or(|it| it != wanted.as_str()) {
            return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
        }
    }
    let Some(grant) = inner.grants.remove(&get("code")) else {
        return refused("invalid_grant");
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
    if challenge != grant.challenge || get("redirect_uri") != grant.redirect || get("client_id") != CLIENT {
        return refused("invalid_grant");
    }
    match id_token(&inner, &grant.nonce) {
        Ok(token) => {
            Json(json!({ "id_token": token, "access_token": "unused", "token_type": "Bearer" })).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn id_token(inner: &Inner, nonce: &str) -> Result<String> {
    let now = cloud::now().seconds();
    let mut claims = json!({ "iss": inner.issuer, "aud": CLIENT, "nonce": nonce, "iat": now, "exp": now + 300 });
    for (name, value) in &inner.claims {
        claims[name] = value.clone();
    }
    if inner.unsigned {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        return Ok(format!(
            "{}.{}.",
            part(&json!({ "alg": "none", "typ": "JWT" })),
            part(&claims)
        ));
    }
    let key = inner.unpublished.as_ref().or(inner.keys.last()).context("no key")?;
    let mut header = Header::new(key.algorithm);
    header.kid = Some(key.kid.clone());
    Ok(encode(&header, &claims, &key.private)?)
}
