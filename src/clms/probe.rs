//! Questions that only find out whether the service works and takes the key.

use super::catalogue::Page;
use super::client::Client;
use super::counts::Endpoint;
use super::error::ClmsError;
use super::http::bad_answer;

impl Client {
    /// Asks for a single dataset, without a token: the smallest answer that shows that the service works.
    ///
    /// # Errors
    /// [`ClmsError::BadAnswer`] for an answer that is no search result, or the failures of any request.
    pub async fn greet(&self) -> Result<(), ClmsError> {
        let url = self.api.service("@search", &[("portal_type", "DataSet"), ("b_size", "1")]);
        let answer = self.json(&self.get(Endpoint::Catalogue, url.clone(), false)).await?;
        let none = || bad_answer(&url, "its search result has no items".to_owned());
        Page::read(answer).map(drop).ok_or_else(none)
    }

    /// Gets a token, which shows that the service takes the key; the token itself is not handed out.
    ///
    /// # Errors
    /// [`ClmsError::NoCredentials`], [`ClmsError::KeyFile`], [`ClmsError::CredentialsRefused`],
    /// [`ClmsError::TokenRefused`], or the failures of any request.
    pub async fn prove_key(&self) -> Result<(), ClmsError> {
        self.tokens.token().await.map(drop)
    }
}
