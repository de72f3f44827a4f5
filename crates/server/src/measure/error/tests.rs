use super::{Refusal, excerpt};

fn refusal(status: u16, body: &str) -> Refusal {
    Refusal::new("http://server/v1/completions".to_owned(), status, body)
}

#[test]
fn messages_are_found_in_every_dialect() {
    let check = |body: &str, message: &str| assert_eq!(refusal(400, body).message, message);
    check(
        r#"{"error": {"message": "no", "type": "invalid_request_error"}}"#,
        "no",
    );
    check(r#"{"object": "error", "message": "no", "code": 400}"#, "no");
    check(r#"{"detail": "no"}"#, "no");
    check(r#"{"detail": [{"msg": "no"}]}"#, r#"[{"msg":"no"}]"#);
    check(r#"{"error": "no"}"#, "no");
    check("<html>\n  no</html>", "<html> no</html>");
    check("", "(empty body)");
}

#[test]
fn an_unknown_model_is_no_missing_route() {
    let check = |status, body: &str, model_unknown, route_missing| {
        let refusal = refusal(status, body);
        assert_eq!(refusal.is_model_unknown(), model_unknown, "{body}");
        assert_eq!(refusal.is_route_missing(), route_missing, "{body}");
    };
    check(
        404,
        r#"{"error": {"message": "gone", "code": "model_not_found"}}"#,
        true,
        false,
    );
    check(
        404,
        r#"{"message": "The model `x` does not exist.", "code": 404}"#,
        true,
        false,
    );
    check(404, r#"{"detail": "Not Found"}"#, false, true);
    check(
        404,
        r#"{"error": {"message": "File Not Found", "code": 404}}"#,
        false,
        true,
    );
    check(405, "", false, true);
    check(500, "the model crashed", false, false);
}

#[test]
fn too_long_is_known_by_code_or_by_words() {
    let check = |status, body: &str, too_long| {
        assert_eq!(refusal(status, body).is_too_long(), too_long, "{body}");
    };
    check(
        400,
        r#"{"error": {"message": "x", "code": "context_length_exceeded"}}"#,
        true,
    );
    check(
        400,
        r#"{"error": {"code": 400, "type": "exceed_context_size_error"}}"#,
        true,
    );
    check(
        400,
        r#"{"message": "This model's maximum context length is 2048 tokens."}"#,
        true,
    );
    check(400, r#"{"message": "temperature must be positive"}"#, false);
    check(500, "the context window is dirty", false);
}

#[test]
fn excerpts_are_short_and_end_between_characters() {
    assert_eq!(excerpt(&"é".repeat(300)), format!("{}...", "é".repeat(200)));
    assert_eq!(excerpt(&"é".repeat(200)), "é".repeat(200));
}
