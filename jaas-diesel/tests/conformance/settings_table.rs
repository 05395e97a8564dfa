//! The table of settings behaves the same on every database.

/// Mounts the tests for one database. A macro, because each database has its own type of table.
macro_rules! table_tests {
    ($connection:ty, $store:ty, $open:expr) => {
        use diesel_async::SimpleAsyncConnection as _;
        use jaas_core::Fqn;
        use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsService, SettingsProvider as _};
        use jaas_core::store::{PageRequest, StoreErrorKind};
        use jaas_testkit::settings::{assert_valid_for_jaas, settings_request};

        fn numbered(number: u32) -> MeetingSettings {
            MeetingSettings::builder().max_occupants(number).passcode("0042").extra("newKey", 1).build().expect("allowed")
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn rows_are_inserted_updated_put_listed_and_deleted() {
            let Some((store, _kept)): Option<($store, _)> = $open.await else { return };
            let table = store.settings_table();
            let kind = |result: Result<(), jaas_core::store::StoreError>| result.expect_err("refused").kind();
            let (math, spelt) = (Fqn::new("App-1/Math%20Room"), Fqn::new("app-1/math room"));
            assert_eq!(table.get(&math).await.expect("read"), None);
            assert_eq!(kind(table.update(&math, &numbered(3)).await), StoreErrorKind::NotFound);
            table.insert(&math, &numbered(3)).await.expect("inserted");
            assert_eq!(kind(table.insert(&spelt, &numbered(4)).await), StoreErrorKind::Exists);
            let row = table.get(&spelt).await.expect("read").expect("there");
            assert_eq!((row.fqn.as_ref(), row.settings), (Some(&math), Ok(numbered(3))));
            table.update(&spelt, &numbered(5)).await.expect("updated");
            table.update(&spelt, &numbered(5)).await.expect("the same again");
            table.put(&Fqn::new("app-1/art"), &numbered(6)).await.expect("put");
            table.put(&Fqn::new("APP-1/ART"), &numbered(7)).await.expect("put again");
            table.put(&Fqn::new("art"), &numbered(8)).await.expect("of any tenant");
            table.put_default(&numbered(9)).await.expect("put");
            table.put_default(&numbered(10)).await.expect("put again");

            let mut listed = Vec::new();
            let mut page = PageRequest { limit: 3, ..PageRequest::first() };
            loop {
                let returned = table.list(page).await.expect("listed");
                listed.extend(returned.items.into_iter().map(|row| {
                    (row.fqn.map(Fqn::into_string).unwrap_or_default(), row.settings.expect("allowed"))
                }));
                let Some(next) = returned.next else { break };
                page.after = Some(next);
            }
            listed.sort_by(|(one, _), (other, _)| one.cmp(other));
            let wanted =
                [("", 10), ("App-1/Math%20Room", 5), ("app-1/art", 7), ("art", 8)].map(|(fqn, number)| (fqn.to_owned(), numbered(number)));
            assert_eq!(listed, wanted);

            table.delete(&spelt).await.expect("deleted");
            assert_eq!(kind(table.delete(&spelt).await), StoreErrorKind::NotFound);
            table.delete_default().await.expect("deleted");
            assert_eq!(kind(table.delete_default().await), StoreErrorKind::NotFound);
            for fqn in [String::new(), "app/".to_owned(), format!("app/{}", "x".repeat(256)), format!("app/{}", "%61".repeat(255))] {
                assert_eq!(kind(table.put(&Fqn::new(fqn), &numbered(2)).await), StoreErrorKind::Refused);
            }
            store.close().await;
            assert_eq!(table.get(&math).await.expect_err("closed").kind(), StoreErrorKind::Closed);
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_nearest_row_decides_and_without_any_the_failure_policy_does() {
            let Some((store, _kept)): Option<($store, _)> = $open.await else { return };
            let table = store.settings_table();
            let service = SettingsService::builder(table.clone(), FailurePolicy::fallback(numbered(77))).build().expect("good");
            let returned = async |fqn: &str| {
                assert_valid_for_jaas(&service.answer(settings_request(fqn)).await)["maxOccupants"].as_u64().expect("a number")
            };
            assert_eq!(returned("app/math").await, 77, "there is nothing");
            table.put_default(&numbered(2)).await.expect("put");
            assert_eq!(returned("app/math").await, 2);
            table.put(&Fqn::new("math"), &numbered(3)).await.expect("put");
            table.put(&Fqn::new("other/math"), &numbered(9)).await.expect("put");
            assert_eq!(returned("app/math").await, 3);
            table.put(&Fqn::new("APP/Math"), &numbered(4)).await.expect("put");
            assert_eq!(returned("app/m%61th").await, 4);
            assert_eq!((returned("math").await, returned("app/art").await, returned("app/").await), (3, 2, 2));
            assert_eq!(returned("app/a%00b").await, 2, "a name that no database stores");
            assert_eq!(returned(&format!("app/{}", "x".repeat(2000))).await, 2);
            let decided = table.settings(&settings_request("app/math")).await.expect("a row");
            assert_eq!(decided.decided_by(), Some("the row \"APP/Math\" of jaas_settings"));
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_row_with_a_whole_name_as_its_room_is_an_error_and_a_room_with_a_slash_is_not() {
            let Some((store, kept)): Option<($store, _)> = $open.await else { return };
            let table = store.settings_table();
            table.put_default(&numbered(2)).await.expect("put");
            table.put(&Fqn::new("team%2F7"), &numbered(3)).await.expect("a room of any tenant with a slash in its name");
            let decided = async |fqn: &str| {
                let settings = table.decide(&Fqn::new(fqn)).await?.expect("a row");
                Ok::<_, jaas_core::store::StoreError>(serde_json::to_value(settings).expect("JSON")["maxOccupants"].clone())
            };
            assert_eq!(decided("app-1/team%2F7").await.expect("a row"), 3);
            assert_eq!(decided("team/7").await.expect("another meeting"), 2);

            let mut connection: $connection = kept.connection().await;
            for tenant in ["", "app-1"] {
                connection
                    .batch_execute(&format!(
                        "INSERT INTO jaas_settings (tenant, room, fqn, settings)
                         VALUES ('{tenant}', 'app-1/board', 'app-1/board', '{{}}')"
                    ))
                    .await
                    .expect("inserted");
                let error = decided("App-1/Board").await.expect_err("misplaced");
                assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                let text = error.to_string();
                assert!(text.contains("row 3") || text.contains("row 4"), "{text}");
                assert!(text.contains("tenant \"app-1\" and room \"board\""), "{text}");
                connection.batch_execute("DELETE FROM jaas_settings WHERE room = 'app-1/board'").await.expect("deleted");
            }
            assert_eq!(decided("app-1/board").await.expect("the default"), 2);
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_row_written_by_hand_that_is_not_allowed_never_reaches_jaas() {
            let Some((store, kept)): Option<($store, _)> = $open.await else { return };
            let table = store.settings_table();
            let mut connection: $connection = kept.connection().await;
            for (room, settings) in [("letters", r#"{"passcode":"12ab"}"#), ("many", r#"{"maxOccupants":900}"#), ("text", "none")] {
                connection
                    .batch_execute(&format!(
                        "INSERT INTO jaas_settings (tenant, room, fqn, settings) VALUES ('', '{room}', '{room}', '{settings}')"
                    ))
                    .await
                    .expect("inserted");
                let error = table.decide(&Fqn::new(room)).await.expect_err("not allowed");
                assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                assert!(!error.to_string().contains("12ab"), "{error}");
                let row = table.get(&Fqn::new(room)).await.expect("read").expect("there");
                assert!(row.settings.is_err());
                let service = SettingsService::builder(table.clone(), FailurePolicy::fail_closed()).build().expect("good");
                let reply = service.answer(settings_request(room)).await;
                assert_eq!(assert_valid_for_jaas(&reply)["lobbyEnabled"], true);
            }
        }
    };
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel_async::AsyncConnection as _;
    use jaas_diesel::SqliteStore;
    use jaas_diesel::sqlite::Connection;

    struct Kept(tempfile::TempDir);

    impl Kept {
        async fn connection(&self) -> Connection {
            let path = self.0.path().join("jaas.sqlite");
            Connection::establish(path.to_str().expect("UTF-8")).await.expect("connected")
        }
    }

    async fn open() -> Option<(SqliteStore, Kept)> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.expect("opened");
        Some((store, Kept(folder)))
    }

    table_tests!(Connection, SqliteStore, open());
}

macro_rules! on_server {
    ($module:ident $feature:literal $Database:ident $Store:ident) => {
        #[cfg(feature = $feature)]
        mod $module {
            use jaas_diesel::$Store;
            use jaas_diesel::$module::Connection;

            struct Kept(crate::server::$Database);

            impl Kept {
                async fn connection(&self) -> Connection {
                    self.0.connect().await
                }
            }

            async fn open() -> Option<($Store, Kept)> {
                // The reason was printed when the test looked for the server.
                let database = crate::server::$Database::create().await.ok()?;
                let store = $Store::builder(database.url()).pool_size(2).open().await.expect("opened");
                Some((store, Kept(database)))
            }

            table_tests!(Connection, $Store, open());
        }
    };
}
on_server!(postgres "postgres" Postgres PostgresStore);
on_server!(mysql "mysql" Mysql MysqlStore);
