//! What counts towards the bill.

use std::collections::BTreeSet;

use jaas_core::event::UsageEntry;
use jaas_core::{CustomerId, Personal};
use serde_json::Value;

use super::presence::Presence;
use super::{Meeting, call};
use crate::event;

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// A lone first participant is held back until another one is there (documented).
    alone: Option<UsageEntry>,
    devices: BTreeSet<String>,
}

impl State {
    pub(super) fn devices(&self) -> &BTreeSet<String> {
        &self.devices
    }
}

impl Meeting {
    /// `USAGE` for a join from outside; a change of rooms has none.
    pub(super) fn bill_join(&mut self, presence: Presence) {
        let chain = self.chain(presence);
        let mut entry = self.usage_entry(&chain.device, "5b3c5a");
        entry.email = chain.email();
        entry.user_id = chain.user_id();
        entry.participant_id = chain.participant_id();
        entry.has_mau_p = Some(false);
        entry.visitor = Some(chain.visitor);
        self.bill(Some(entry));
    }

    /// `USAGE` for a phone. A SIP device has none, but makes a lone participant count (seen in the sender's modules).
    pub(super) fn bill_call(&mut self, call: &call::State) {
        let entry = call.billed().map(|(direction, device, participant)| {
            let mut entry = self.usage_entry(&device, "dialIO");
            entry.participant_id = Some(participant);
            entry.call_direction = Some(direction);
            entry
        });
        self.bill(entry);
    }

    /// A participant who leaves before another has come is not billed: the next one is the first again.
    pub(super) fn bill_departure(&mut self) {
        if self.occupants() == 0 {
            self.billing.alone = None;
        }
    }

    fn bill(&mut self, entry: Option<UsageEntry>) {
        if self.occupants() == 1 {
            self.billing.alone = entry;
            return;
        }
        let entries: Vec<UsageEntry> = self.billing.alone.take().into_iter().chain(entry).collect();
        if entries.is_empty() {
            return;
        }
        let devices = entries.iter().filter_map(|entry| entry.device_id.as_ref());
        self.billing.devices.extend(devices.map(|device| device.expose().to_owned()));
        let count = entries.len();
        let mut usage = event::usage().with(|usage| usage.0 = entries);
        for index in 0..count {
            for field in ["email", "userId", "hasMauP", "visitor", "isBreakout"] {
                let path = format!("data.{index}.{field}");
                if self.odd(15) {
                    usage = usage.set(&path, Value::Null);
                } else if self.odd(15) {
                    usage = usage.without(&path);
                }
            }
        }
        self.emit(usage);
    }

    fn occupants(&self) -> usize {
        self.present().len() + self.calls().len()
    }

    fn usage_entry(&self, device: &str, key: &str) -> UsageEntry {
        let mut entry = UsageEntry::default();
        entry.customer_id = self.app.customer_id().map(CustomerId::new);
        entry.device_id = Some(Personal::new(device));
        entry.kid = Some(format!("{}/{key}", self.app));
        entry
    }
}
