//! Macros that define payload structs and open enums.

/// Defines payload structs whose fields are decoded leniently. A field is `name: Type = "wireName"`; after `..flatten`
/// come fields whose own fields appear beside the others on the wire.
///
/// `pub event` is the payload of an event, which needs its row in `for_each_event!`; `pub struct` is a part of one.
macro_rules! payload {
    ($(
        $(#[$meta:meta])*
        pub $kind:tt $Name:ident {
            $($(#[$field_meta:meta])* $field:ident: $Type:ty = $wire:literal,)*
            $(..flatten { $($(#[$flat_meta:meta])* $flat:ident: $Flat:ident,)* })?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $Name {
            $($(#[$field_meta])* #[doc = concat!("\n\nOn the wire: `", $wire, "`.")] pub $field: $Type,)*
            $($($(#[$flat_meta])* pub $flat: $Flat,)*)?
        }

        $crate::lenient::payload!(@has_a_row $kind $Name);
        $crate::lenient::fields_table!($Name { $($field $wire)* } { $($($flat $Flat)*)? });

        impl $crate::lenient::Fields for $Name {
            fn set(
                &mut self,
                key: &str,
                raw: &str,
                undecoded: &mut $crate::lenient::Undecoded,
            ) -> bool {
                match key {
                    $($wire => {
                        $crate::lenient::Slot::fill(&mut self.$field, $wire, raw, undecoded);
                        true
                    })*
                    _ => false $($(|| $crate::lenient::Fields::set(&mut self.$flat, key, raw, undecoded))*)?,
                }
            }
        }

        impl $crate::lenient::WriteFields for $Name {
            fn write_fields(&self, into: &mut serde_json::Map<String, serde_json::Value>) {
                $(if let Some(value) = $crate::lenient::Write::write(&self.$field) {
                    into.insert($wire.to_owned(), value);
                })*
                $($($crate::lenient::WriteFields::write_fields(&self.$flat, into);)*)?
            }

            #[cfg(feature = "archive")]
            fn links_within(&self, found: &mut dyn FnMut(&'static str, &str)) {
                $($crate::lenient::Write::links(&self.$field, $wire, found);)*
                $($($crate::lenient::WriteFields::links_within(&self.$flat, found);)*)?
                let _ = found;
            }
        }

        impl $crate::lenient::Write for $Name {
            fn write(&self) -> Option<serde_json::Value> {
                let mut fields = serde_json::Map::new();
                $crate::lenient::WriteFields::write_fields(self, &mut fields);
                Some(fields.into())
            }

            #[cfg(feature = "archive")]
            fn links(&self, _: &'static str, found: &mut dyn FnMut(&'static str, &str)) {
                $crate::lenient::WriteFields::links_within(self, found);
            }
        }

        impl $crate::lenient::Decode for $Name {
            fn parse_data(
                data: &str,
                undecoded: &mut $crate::lenient::Undecoded,
            ) -> Result<Self, $crate::lenient::DecodeError> {
                $crate::lenient::object(data, undecoded)
            }
        }

        impl $crate::lenient::Field for $Name {
            fn parse(raw: &str) -> Option<Self> {
                Self::parse_within(raw, &mut $crate::lenient::Undecoded::default())
            }

            fn parse_within(raw: &str, undecoded: &mut $crate::lenient::Undecoded) -> Option<Self> {
                if raw == "null" { None } else { $crate::lenient::object(raw, undecoded).ok() }
            }
        }
    )*};
    (@has_a_row struct $Name:ident) => {};
    (@has_a_row event $Name:ident) => {
        // `super` is `event`, below which the payloads are.
        const _: super::EventKind = <$Name as super::Payload>::KIND;
    };
}
pub(crate) use payload;

/// Defines a macro with the name of a payload, for the documentation of its handler method: a table of its fields.
macro_rules! fields_table {
    ($Name:ident { $($field:ident $wire:literal)* } { $($flat:ident $Flat:ident)* }) => {
        #[allow(unused_macros, reason = "only the payloads of events and their parts are in a handler's documentation")]
        macro_rules! $Name {
            () => {
                concat!(
                    "| field | on the wire |\n|---|---|\n"
                    $(, "| [`", stringify!($field), "`](", stringify!($Name), "::", stringify!($field), ") | `", $wire, "` |\n")*
                    $(, "| [`", stringify!($flat), "`](", stringify!($Name), "::", stringify!($flat), ") | ", $Flat!(wires), " |\n")*
                )
            };
            (wires) => {
                concat!("" $(, "`", $wire, "` ")*)
            };
        }
    };
    // For payloads that hold parts of one type and nothing else.
    ($Name:ident: $parts:literal $Part:ident) => {
        macro_rules! $Name {
            () => {
                concat!($parts, " [`", stringify!($Part), "`]:\n\n", $Part!())
            };
        }
    };
}
pub(crate) use fields_table;

/// Defines enums of documented words that keep an undocumented word as received.
macro_rules! open_enum {
    ($(
        $(#[$meta:meta])*
        pub enum $Name:ident { $($(#[$variant_meta:meta])* $Variant:ident = $wire:literal,)* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$variant_meta])* #[doc = concat!("\n\nOn the wire: `", $wire, "`.")] $Variant,)*
            /// A word that this version does not know, as received.
            Other(String),
        }

        impl $Name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$Variant => $wire,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $Name {
            fn from(word: &str) -> Self {
                match word {
                    $($wire => Self::$Variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::lenient::Field for $Name {
            fn parse(raw: &str) -> Option<Self> {
                $crate::lenient::text(raw).map(|word| Self::from(&*word))
            }

            fn parse_within(raw: &str, undecoded: &mut $crate::lenient::Undecoded) -> Option<Self> {
                let word = <Self as $crate::lenient::Field>::parse(raw)?;
                undecoded.word(word.as_str(), !matches!(word, Self::Other(_)));
                Some(word)
            }
        }

        impl $crate::lenient::Write for $Name {
            fn write(&self) -> Option<serde_json::Value> {
                Some(self.as_str().into())
            }
        }
    )*};
}
pub(crate) use open_enum;
