//! The key pair that signs tokens.

use anyhow::{Context, Result};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// A fresh ES256 key pair.
#[derive(Clone)]
pub struct Keys {
    /// PKCS#8, PEM. Secret.
    pub private_pem: String,
    /// SubjectPublicKeyInfo, base64: the template's parameter `TokenPublicKey`.
    pub public: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Makes a key pair.
pub fn generate() -> Result<Keys> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).context("no random numbers")?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).context("the new key is not usable")?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().context("the new key has no public half")?;
    Ok(Keys {
        private_pem: pem("PRIVATE KEY", document.as_ref()),
        public: BASE64_STANDARD.encode(public.as_ref()),
    })
}

/// The public half of a private key in PEM: the template's parameter `TokenPublicKey`.
pub fn public(private_pem: &str) -> Result<String> {
    let base64: String = private_pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let document = BASE64_STANDARD.decode(base64.trim()).context("this is no PEM")?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document)
        .context("this is no private key of ES256 in PKCS#8")?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().context("the key has no public half")?;
    Ok(BASE64_STANDARD.encode(public.as_ref()))
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_found_again() {
        let keys = generate().unwrap();
        assert_eq!(public(&keys.private_pem).unwrap(), keys.public);
        assert!(public("x").is_err());
    }
}
