//! The key file: formats, permissions, silence about its content.

use super::*;
use crate::clms::ClmsError;

fn load(content: &str, mode: u32) -> Result<ServiceKey, ClmsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    write_key(&path, content, mode);
    ServiceKey::load(&path)
}

const TOKEN_URI: &str = "https://land.copernicus.eu/@@oauth2-token";

#[test]
fn both_pem_forms_are_read() {
    let pkcs8 = pkcs8_der();
    // The PKCS#1 key is the octet string at the end of the PKCS#8 one; its header takes 26 bytes for this key size.
    let pkcs1 = &pkcs8[26..];
    for (label, der) in [("PRIVATE KEY", &pkcs8[..]), ("RSA PRIVATE KEY", pkcs1)] {
        load(&key_json(TOKEN_URI, &pem(label, der)).to_string(), 0o600).unwrap();
    }
}

#[test]
fn a_missing_key_file_shows_when_it_is_needed_and_heals_when_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    let credentials = crate::clms::Credentials::File(path.clone());
    let text = credentials.key().unwrap_err().to_string();
    assert!(text.contains("key.json"), "{text}");
    write_key(&path, &key_json(TOKEN_URI, &pem("PRIVATE KEY", &pkcs8_der())).to_string(), 0o600);
    credentials.key().unwrap();
}

#[test]
fn nothing_of_the_key_shows_up() {
    let secret_pem = pem("PRIVATE KEY", &pkcs8_der());
    let piece = secret_pem.lines().nth(3).unwrap();
    let key = load(&key_json(TOKEN_URI, &secret_pem).to_string(), 0o600).unwrap();
    let shown = format!("{key:?}");
    assert!(!shown.contains(piece) && !shown.contains("PRIVATE"), "{shown}");

    let broken_pem = secret_pem.replacen('M', "!", 1);
    let wrong = [
        json!({"private_key": secret_pem}).to_string(),
        key_json(TOKEN_URI, &broken_pem).to_string(),
        key_json("http://land.copernicus.eu/token", &secret_pem).to_string(),
        key_json("nonsense", &secret_pem).to_string(),
        key_json("", &secret_pem).to_string(),
        format!("[{}]", json!(secret_pem)),
        secret_pem.clone(),
        String::new(),
    ];
    for content in wrong {
        let error = load(&content, 0o600).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(piece) && !text.contains("BEGIN"), "{text}");
    }
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ServiceKey::load(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    assert!(ServiceKey::load(dir.path()).is_err());
}

#[test]
fn a_key_that_others_can_read_or_change_is_refused_with_the_way_out() {
    let content = key_json(TOKEN_URI, &pem("PRIVATE KEY", &pkcs8_der())).to_string();
    for mode in [0o600, 0o400, 0o700] {
        load(&content, mode).unwrap();
    }
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o610] {
        let text = load(&content, mode).unwrap_err().to_string();
        assert!(text.contains(&format!("mode {mode:03o}")) && text.contains("chmod 600 '/"), "{text}");
    }
}
