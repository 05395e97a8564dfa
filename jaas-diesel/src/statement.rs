//! Statements that run for each event. They are written as SQL text, so that their plan can be foreseen, and are prepared
//! once for each connection.

/// Declares a statement: its parameters, the columns it returns, and its text. In the text `{name: Type}` binds a
/// parameter, `(name: Type)` binds a list of parameters, and `[name]` inserts a field that is itself a query fragment.
///
/// A statement with a list is declared as `listing`. Its list is padded with the last element to a length that is a power
/// of two, so that the server prepares few different texts.
macro_rules! statement {
    (
        $(#[$meta:meta])*
        listing $name:ident on $backend:ty { $($field:ident: $rust:ty),* $(,)? } -> $columns:ty = $($part:tt)+
    ) => {
        $crate::statement::statement!(@ [$(#[$meta])*] $name $backend { $($field: $rust),* } $columns = $($part)+);

        $crate::statement::known_by_text!($name);
    };
    (
        $(#[$meta:meta])*
        $name:ident on $backend:ty { $($field:ident: $rust:ty),* $(,)? } -> $columns:ty = $($part:tt)+
    ) => {
        $crate::statement::statement!(
            @ [$(#[$meta])* #[derive(diesel::query_builder::QueryId)]] $name $backend { $($field: $rust),* } $columns = $($part)+
        );
    };
    (
        @ [$(#[$meta:meta])*] $name:ident $backend:ty { $($field:ident: $rust:ty),* } $columns:ty = $($part:tt)+
    ) => {
        $(#[$meta])*
        pub(crate) struct $name {
            $(pub(crate) $field: $rust,)*
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $columns;
        }

        impl<Conn> diesel::RunQueryDsl<Conn> for $name {}

        impl diesel::query_builder::QueryFragment<$backend> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
            ) -> diesel::QueryResult<()> {
                $($crate::statement::part!(self, out, $part);)+
                Ok(())
            }
        }
    };
}
pub(crate) use statement;

/// Of these, diesel's cache identifies each by its text, which depends on the length of its lists.
macro_rules! known_by_text {
    ($($Statement:ty),*) => {$(
        impl diesel::query_builder::QueryId for $Statement {
            type QueryId = ();

            const HAS_STATIC_QUERY_ID: bool = false;
        }
    )*};
}
pub(crate) use known_by_text;

macro_rules! part {
    ($self:ident, $out:ident, { $field:ident: $type:ty }) => {
        $out.push_bind_param::<$type, _>(&$self.$field)?
    };
    ($self:ident, $out:ident, ( $field:ident: $type:ty )) => {
        for index in 0..$self.$field.len().next_power_of_two() {
            if index > 0 {
                $out.push_sql(", ");
            }
            if let Some(element) = $self.$field.get(index).or($self.$field.last()) {
                $out.push_bind_param::<$type, _>(element)?;
            }
        }
    };
    ($self:ident, $out:ident, [$field:ident]) => {
        diesel::query_builder::QueryFragment::walk_ast(&$self.$field, $out.reborrow())?
    };
    ($self:ident, $out:ident, $text:literal) => {
        $out.push_sql($text)
    };
}
pub(crate) use part;
