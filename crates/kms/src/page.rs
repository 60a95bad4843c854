//! Pages of lists. A marker is the last id of the page before, in base64, so that clients treat it as
//! opaque.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Result, error};

/// One page and the marker of the next.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// The id after which the page begins.
pub(crate) fn after(marker: Option<&str>) -> Result<Option<String>> {
    let Some(marker) = marker else { return Ok(None) };
    let invalid = || error("InvalidMarkerException", "Could not deserialize marker");
    let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| invalid())?;
    String::from_utf8(bytes).map(Some).map_err(|_| invalid())
}

/// Takes `limit` of `items`, which are sorted by `id` and begin after the marker.
pub(crate) fn take<T>(
    items: impl Iterator<Item = T>,
    limit: Option<i64>,
    default: usize,
    id: impl Fn(&T) -> String,
) -> Page<T> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default);
    let mut items = items.peekable();
    let mut page = Vec::new();
    while page.len() < limit
        && let Some(item) = items.next()
    {
        page.push(item);
    }
    let more = items.peek().is_some();
    let next = page.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(id(last)));
    Page { items: page, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let all: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
        let (mut seen, mut marker) = (Vec::new(), None);
        loop {
            let from = after(marker.as_deref()).unwrap();
            let rest = all.iter().filter(|id| from.as_ref().is_none_or(|from| *id > from)).cloned();
            let page = take(rest, Some(3), 100, Clone::clone);
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            match page.next {
                Some(next) => marker = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn marker_that_is_none_is_refused() {
        assert_eq!(after(Some("*")).unwrap_err().code, "InvalidMarkerException");
    }
}
