//! Tokens: ES256 JWTs with a pinned algorithm.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use model::{Account, Millis, PoolId, Role, TeamId, Worker};
use serde::{Deserialize, Serialize};

/// What a token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For which installation.
    pub aud: String,
    /// The bearer: a user or a worker.
    pub sub: String,
    /// The bearer's team; a worker's is its pool's name.
    pub team: TeamId,
    /// What the bearer may do.
    pub role: Role,
    /// Issued at, seconds.
    pub iat: u64,
    /// Expires at, seconds.
    pub exp: u64,
    /// The user's device that it was given to; none of a token that an operator made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A worker's generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// A worker's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
}

/// A key or a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The private key is not what it should be.
    #[error("the key is no ES256 key in PEM form")]
    Key(#[source] jsonwebtoken::errors::Error),
    /// The public key is not what it should be.
    #[error(
        "TOKEN_PUBLIC_KEY is no ES256 public key; it must be what `ops keys` prints, as PEM or as the base64 inside it"
    )]
    PublicKey(#[source] jsonwebtoken::errors::Error),
    /// The token is past its time.
    #[error("the token has expired")]
    Expired,
    /// The token is for somebody else.
    #[error("the token is for another installation")]
    Audience,
    /// The token is not one of ours.
    #[error("the token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
}

impl TokenError {
    /// Why a token is refused, as its bearer is told.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "the token has expired",
            Self::Audience => "the token is for another installation",
            Self::Key(_) | Self::PublicKey(_) | Self::Invalid(_) => "the token is not valid",
        }
    }
}

/// Clocks may differ by this much, seconds.
const LEEWAY: u64 = 30;

/// The token in the value of an `Authorization` header.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Checks tokens.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// With this public key: PEM, or the base64 inside it.
    pub fn new(public_key: &str, issuer: &str, audience: &str) -> Result<Self, TokenError> {
        let pem = if public_key.contains("-----BEGIN") {
            public_key.to_owned()
        } else {
            format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                public_key.trim()
            )
        };
        let key = DecodingKey::from_ec_pem(pem.as_bytes()).map_err(TokenError::PublicKey)?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY;
        Ok(Self { key, validation })
    }

    /// The claims of a good token.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        use jsonwebtoken::errors::ErrorKind::{ExpiredSignature, InvalidAudience};
        match decode::<Claims>(token, &self.key, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) => Err(match error.kind() {
                ExpiredSignature => TokenError::Expired,
                InvalidAudience => TokenError::Audience,
                _ => TokenError::Invalid(error),
            }),
        }
    }
}

/// Issues tokens.
pub struct Signer {
    key: EncodingKey,
    issuer: String,
    audience: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// With this private key (PKCS#8 PEM).
    pub fn new(private_key: &str, issuer: &str, audience: &str) -> Result<Self, TokenError> {
        let key = EncodingKey::from_ec_pem(private_key.as_bytes()).map_err(TokenError::Key)?;
        Ok(Self {
            key,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// The installation's name, which identity proofs must carry.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// A token of a painter or operator.
    pub fn user(
        &self,
        sub: &str,
        team: &TeamId,
        role: Role,
        now: Millis,
        life: Duration,
    ) -> Result<String, TokenError> {
        self.sign(&self.claims(sub, team.clone(), role, now, life))
    }

    /// A token of a user's device.
    pub fn device(&self, account: &Account, device: String, now: Millis, life: Duration) -> Result<String, TokenError> {
        let (sub, team) = (account.user_id.as_str(), account.team.clone());
        self.sign(&Claims {
            device: Some(device),
            ..self.claims(sub, team, account.role, now, life)
        })
    }

    /// A token of a worker.
    pub fn worker(&self, worker: &Worker, now: Millis, life: Duration) -> Result<String, TokenError> {
        let (sub, team) = (worker.worker_id.as_str(), TeamId::new(worker.pool.as_str()));
        self.sign(&Claims {
            generation: Some(worker.generation),
            pool: Some(worker.pool.clone()),
            ..self.claims(sub, team, Role::Worker, now, life)
        })
    }

    fn claims(&self, sub: &str, team: TeamId, role: Role, now: Millis, life: Duration) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: sub.to_owned(),
            team,
            role,
            iat: now.seconds(),
            exp: (now + life).seconds(),
            device: None,
            generation: None,
            pool: None,
        }
    }

    fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        encode(&Header::new(Algorithm::ES256), claims, &self.key).map_err(TokenError::Invalid)
    }
}
