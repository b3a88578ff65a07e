//! What no honest host says: to see that it changes nothing.

use firmware_protocol::frame::Framing;
use firmware_protocol::message::Request;

use super::{Device, DeviceError, Opening};
use crate::session::Answer;

impl Device {
    /// The same device to a host that remembers no conversation with it. A port that it was reached at may be coming back.
    #[must_use]
    pub fn forgotten(&self, opening: Opening) -> Self {
        let (was_reached, met) = (self.was_reached, self.met.clone());
        Self { was_reached, met, ..Self::new(opening) }
    }

    /// How frames travel to it.
    ///
    /// # Errors
    /// When the device is not connected.
    pub fn framing(&mut self) -> Result<Framing, DeviceError> {
        Ok(self.driver()?.framing())
    }

    /// Sends bytes that are no words of the session's.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn say_foreign(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        let sent = self.driver()?.send_foreign(bytes).await;
        self.is_dead |= sent.is_err();
        Ok(sent?)
    }

    /// Asks in a session that is none of this host's; zero for none at all.
    ///
    /// # Errors
    /// When no answer comes. A refusal is an answer.
    pub async fn ask_in(
        &mut self,
        session: u32,
        request: Request<'_>,
    ) -> Result<Answer, DeviceError> {
        self.driver()?.enter(session);
        let answer = self.ask(request).await;
        let own = self.session.map_or(0, |(_, session)| session);
        if let Some(driver) = &mut self.driver {
            driver.enter(own);
        }
        answer
    }

    /// Asks, and does not wait for the answer.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn begin(&mut self, request: Request<'_>) -> Result<(), DeviceError> {
        let begun = self.driver()?.begin(request).await;
        self.is_dead |= begun.is_err();
        Ok(begun?)
    }
}
