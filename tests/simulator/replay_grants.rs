//! The assertions behind the recorded token requests; the recordings name them by their labels only.

use serde_json::{Value, json};

use crate::support::{now, sign};

/// The JWT that a recorded request carried.
pub(crate) fn assertion(label: &str, key: &Value, host: &str) -> String {
    let mut claims = json!({
        "iss": key["client_id"], "sub": key["user_id"], "aud": format!("http://{host}/@@oauth2-token"),
        "iat": now() - 1, "exp": now() + 3600,
    });
    let mut drop = |name: &str| {
        claims.as_object_mut().unwrap().remove(name);
    };
    match label {
        "garbage assertion a.b.c" => return "a.b.c".to_owned(),
        "HS256" => {
            let secret = jsonwebtoken::EncodingKey::from_secret(b"secret");
            return jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &secret).unwrap();
        }
        "wrong signature" => {
            let jwt = sign(key, &claims);
            let (rest, signature) = jwt.rsplit_once('.').unwrap();
            return format!("{rest}.{}", signature.chars().rev().collect::<String>());
        }
        "via /api with /api aud" | "root path with /api aud" => {
            claims["aud"] = json!(format!("http://{host}/api/@@oauth2-token"));
        }
        "unknown client_id" => claims["iss"] = json!("0123456789abcdef0123456789abcdef"),
        "missing iss" => drop("iss"),
        "sub missing" => drop("sub"),
        "missing exp" => drop("exp"),
        "iat missing" => drop("iat"),
        "missing aud" => drop("aud"),
        "expired grant" => claims["exp"] = json!(now() - 10),
        "exp > 1 day" => claims["exp"] = json!(now() + 25 * 3600),
        "exp 23h" => claims["exp"] = json!(now() + 23 * 3600),
        "iat +5s future" => claims["iat"] = json!(now() + 5),
        "iat +30s future" => claims["iat"] = json!(now() + 30),
        "iat +120s future" => claims["iat"] = json!(now() + 120),
        "iat 61 min past" => claims["iat"] = json!(now() - 61 * 60),
        "iat 59 min past" => claims["iat"] = json!(now() - 59 * 60),
        "wrong aud" => claims["aud"] = json!("https://example.com/@@oauth2-token"),
        "aud as list" => claims["aud"] = json!([claims["aud"]]),
        "sub mismatch" => claims["sub"] = json!("somebody"),
        "nbf" => claims["nbf"] = json!(now() - 1),
        "scope" => claims["scope"] = json!("read"),
        "float iat/exp" => {
            claims["iat"] = json!(now() as f64 - 1.5);
            claims["exp"] = json!(now() as f64 + 3600.5);
        }
        "string iat" => claims["iat"] = json!((now() - 1).to_string()),
        _ => {}
    }
    sign(key, &claims)
}
