//! Pagination of lists, with the `Link` header of the next page.

use http::{HeaderMap, HeaderValue, header::LINK};
use serde::Deserialize;

/// Pagination parameters. Strings, because serde's flattened queries support nothing else.
#[derive(Deserialize)]
pub(super) struct Page {
    page: Option<String>,
    per_page: Option<String>,
}

/// Returns the items of the page and the `Link` header. `url` and `query` are those of the list.
pub(super) fn paginate<'a, T>(
    url: &str,
    query: Option<&str>,
    page: &Page,
    items: &'a [T],
) -> (HeaderMap, &'a [T]) {
    let number = |text: &Option<String>| text.as_ref()?.parse::<usize>().ok();
    let length = number(&page.per_page).unwrap_or(30).clamp(1, 100);
    let at = number(&page.page).unwrap_or(1).max(1);
    let start = ((at - 1) * length).min(items.len());
    let end = (start + length).min(items.len());
    let mut headers = HeaderMap::new();
    if end < items.len() {
        let query = query.unwrap_or_default().split('&');
        let kept: Vec<&str> = query.filter(|part| !part.starts_with("page=")).collect();
        let link = format!("<{url}?{}&page={}>; rel=\"next\"", kept.join("&"), at + 1);
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.insert(LINK, link);
        }
    }
    (headers, &items[start..end])
}
