//! Mocks of what an application implements or gets, made with [`mockall`].

mod handler;
mod store;

pub use self::handler::MockEventHandler;
pub use self::store::MockEventStore;
