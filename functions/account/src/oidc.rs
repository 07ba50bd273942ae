//! The studio's OpenID Connect provider: discovery, the authorisation code with PKCE, and its ID tokens
//! (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use model::{Millis, TeamId};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

/// Signatures that are taken; `none` and those by a shared secret are not among them.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// Keys and endpoints are read again after this long.
const KEYS_LIFE: Duration = Duration::from_hours(1);
/// A key that is not known makes them be read again, but not more often than this.
const KEYS_PAUSE: Duration = Duration::from_mins(1);
/// Clocks may differ by this much, seconds.
const LEEWAY: u64 = 60;

/// Which provider, and who we are there.
#[derive(Clone)]
pub struct Config {
    /// The issuer, exactly as its ID tokens name it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; a public client has none.
    pub client_secret: Option<String>,
    /// Where the provider sends browsers back to.
    pub redirect_url: String,
    /// The team for which signing in makes an account; none: only those whom `ops` knows get in.
    pub team: Option<TeamId>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// A sign-in at the provider did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It cannot be reached. Later it may be.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with what no provider should.
    #[error("the provider's {0}")]
    Wrong(&'static str),
    /// It does not take the code (any more).
    #[error("the provider refused the code with status {0}")]
    Refused(u16),
    /// The ID token is not to be trusted.
    #[error("the id token {0}")]
    Token(&'static str),
}

/// Whom an ID token names.
#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    /// The subject, which never changes.
    pub sub: String,
    /// Display name.
    pub name: Option<String>,
    email: Option<String>,
    email_verified: Option<serde_json::Value>,
    nonce: Option<String>,
    azp: Option<String>,
    exp: u64,
}

impl Claims {
    /// The e-mail address, if the provider has verified it. Some providers say so in words.
    pub fn email(&self) -> Option<&str> {
        let verified = self.email_verified.as_ref()?;
        self.email
            .as_deref()
            .filter(|_| *verified == true || *verified == "true")
    }
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Debug)]
struct Known {
    endpoints: Discovery,
    keys: JwkSet,
    read_at: Millis,
}

/// The provider, with what is known of it.
#[derive(Debug)]
pub struct Provider {
    /// Which, and who we are there.
    pub config: Config,
    client: reqwest::Client,
    known: Mutex<Option<Arc<Known>>>,
}

impl Provider {
    /// Nothing is asked yet.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(4))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            config,
            client,
            known: Mutex::default(),
        })
    }

    /// Where to send the browser.
    pub(crate) async fn address(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        now: Millis,
    ) -> Result<String, OidcError> {
        let known = self.known(|_| true, now).await?;
        let endpoint = &known.endpoints.authorization_endpoint;
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("scope", "openid email profile")
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair(
                "code_challenge",
                &BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
            )
            .append_pair("code_challenge_method", "S256")
            .finish();
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{query}"))
    }

    /// Whom the provider names for this code.
    pub(crate) async fn claims(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
        now: Millis,
    ) -> Result<Claims, OidcError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let known = self.known(|_| true, now).await?;
        let request = self.exchange(&known.endpoints, code, verifier);
        let tokens: Tokens = read(request, "token answer cannot be read").await?;
        self.verify(&tokens.id_token, nonce, now).await
    }

    fn exchange(&self, endpoints: &Discovery, code: &str, verifier: &str) -> reqwest::RequestBuilder {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("client_id", &self.config.client_id)
            .append_pair("code_verifier", verifier);
        let mut request = self.client.post(&endpoints.token_endpoint);
        if let Some(secret) = &self.config.client_secret {
            let methods = &endpoints.token_endpoint_auth_methods_supported;
            if methods.iter().any(|it| it == "client_secret_post") {
                form.append_pair("client_secret", secret);
            } else {
                request = request.basic_auth(&self.config.client_id, Some(secret));
            }
        }
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    async fn verify(&self, token: &str, nonce: &str, now: Millis) -> Result<Claims, OidcError> {
        let header = decode_header(token).map_err(|_| OidcError::Token("has no header that is allowed"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(OidcError::Token("is signed in a way that is not allowed"));
        }
        let known = self.known(|it| it.key(header.kid.as_deref()).is_some(), now).await?;
        let key = known
            .key(header.kid.as_deref())
            .ok_or(OidcError::Token("is signed with an unknown key"))?;
        let key = DecodingKey::from_jwk(key).map_err(|_| OidcError::Wrong("key is no public key"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.client_id]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Against the caller's clock, below.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &key, &validation)
            .map_err(|_| OidcError::Token("is not for us, or its signature is not good"))?
            .claims;
        if claims.exp + LEEWAY < now.seconds() {
            return Err(OidcError::Token("has expired"));
        }
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(OidcError::Token("is for another sign-in"));
        }
        if claims.azp.as_ref().is_some_and(|azp| *azp != self.config.client_id) {
            return Err(OidcError::Token("was made for another client"));
        }
        // The longest that OpenID Connect allows.
        if !(1..=255).contains(&claims.sub.len()) {
            return Err(OidcError::Token("names nobody"));
        }
        Ok(claims)
    }

    /// Endpoints and keys: as they were read last, unless that was long ago or does not suffice.
    async fn known(&self, suffices: impl Fn(&Known) -> bool, now: Millis) -> Result<Arc<Known>, OidcError> {
        let mut slot = self.known.lock().await;
        if let Some(known) = &*slot {
            let age = now.since(known.read_at);
            if age < KEYS_PAUSE || (age < KEYS_LIFE && suffices(known)) {
                return Ok(Arc::clone(known));
            }
        }
        let issuer = &self.config.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let endpoints: Discovery = read(self.client.get(address), "configuration cannot be read").await?;
        if endpoints.issuer != *issuer {
            return Err(OidcError::Wrong("configuration names another issuer"));
        }
        let addresses = [
            &endpoints.authorization_endpoint,
            &endpoints.token_endpoint,
            &endpoints.jwks_uri,
        ];
        if !addresses.into_iter().all(|it| is_safe(it)) {
            return Err(OidcError::Wrong("addresses are not https"));
        }
        let keys: JwkSet = read(self.client.get(&endpoints.jwks_uri), "keys cannot be read").await?;
        let known = Arc::new(Known {
            endpoints,
            keys,
            read_at: now,
        });
        *slot = Some(Arc::clone(&known));
        Ok(known)
    }
}

impl Known {
    /// The signing key with this id. A token may name none only if there is but one.
    fn key(&self, kid: Option<&str>) -> Option<&Jwk> {
        let mut keys = self.keys.keys.iter().filter(|key| {
            let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
            signs && kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid))
        });
        keys.next().filter(|_| kid.is_some() || keys.next().is_none())
    }
}

/// Whether what is sent there stays secret: HTTPS, or this machine.
pub fn is_safe(address: &str) -> bool {
    reqwest::Url::parse(address).is_ok_and(|url| {
        url.scheme() == "https" || (url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost")))
    })
}

async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder, otherwise: &'static str) -> Result<T, OidcError> {
    let unreachable = |error: reqwest::Error| OidcError::Unreachable(error.without_url());
    let reply = request.send().await.map_err(unreachable)?;
    let status = reply.status();
    if status.is_client_error() {
        return Err(OidcError::Refused(status.as_u16()));
    }
    let text = reply
        .error_for_status()
        .map_err(unreachable)?
        .text()
        .await
        .map_err(unreachable)?;
    serde_json::from_str(&text).map_err(|_| OidcError::Wrong(otherwise))
}
