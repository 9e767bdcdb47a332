//! Lists that come in pages, each naming the next in a `Link` header (distribution spec, "Content Discovery"), and the
//! one list of names: tags.
//!
//! Takes the first page's URL, gives all pages. Never leaves the registry, never visits a page twice, and never goes on
//! past its limits.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::failure::attempt;
use super::reply::{Reply, json};
use super::repository::Repository;
use super::transport::Call;
use crate::error::{Error, Result};

/// The most pages of one list.
const PAGES: usize = 1000;
/// The largest page.
const PAGE_LIMIT: u64 = 4 << 20;
/// All pages of one list together.
const LIST_LIMIT: u64 = 64 << 20;
/// How many names are asked for at a time.
const PAGE_LENGTH: usize = 1000;

/// One page.
pub(super) struct Page {
    next: Option<Url>,
    pub(super) media_type: String,
    /// `OCI-Filters-Applied`.
    pub(super) filters: String,
    pub(super) bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Tags {
    // Some registries write null for none.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, sorted; none when there is no such repository (distribution spec, "Listing Tags").
    pub fn tags(&self) -> Result<Vec<String>> {
        let first = self.url(&format!("tags/list?n={PAGE_LENGTH}"))?;
        let pages = match self.pages(first, "application/json")? {
            Ok(pages) => pages,
            Err(reply) if reply.status() == StatusCode::NOT_FOUND => return Ok(Vec::new()),
            Err(reply) => return Err(self.refused(reply)),
        };
        let mut tags = BTreeSet::new();
        for page in pages {
            let list: Tags = json(&format!("the list of {}'s tags", self.name()), &page.bytes)?;
            tags.extend(list.tags.into_iter().flatten());
        }
        Ok(tags.into_iter().collect())
    }

    /// All pages from `first` on, or the registry's answer when it has no such list.
    pub(super) fn pages(&self, first: Url, accept: &str) -> Result<std::result::Result<Vec<Page>, Reply>> {
        let (mut pages, mut seen, mut total) = (Vec::new(), BTreeSet::new(), 0);
        let mut next = Some(first);
        while let Some(url) = next.take() {
            let page = match self.page(&Call::new(Method::GET, url.clone()).with(ACCEPT, accept))? {
                Ok(page) => page,
                Err(reply) if pages.is_empty() => return Ok(Err(reply)),
                Err(reply) => return Err(self.refused(reply)),
            };
            let broken = |why| Err(Error::network(attempt(&Method::GET, &url)).because(why));
            if page.next.as_ref().is_some_and(|next| !self.host.owns(next)) {
                return broken("its next page leads to another host");
            }
            seen.insert(url.clone());
            if page.next.as_ref().is_some_and(|next| seen.contains(next)) || pages.len() >= PAGES {
                return broken("its list of pages doesn't end");
            }
            total += page.bytes.len() as u64;
            if total > LIST_LIMIT {
                return broken("its list is too long");
            }
            next.clone_from(&page.next);
            pages.push(page);
        }
        Ok(Ok(pages))
    }

    /// Reads one page whole, again from the start when it was cut.
    fn page(&self, call: &Call<'_>) -> Result<std::result::Result<Page, Reply>> {
        let page = self.client.retrier().run(|| {
            let reply = self.read(call)?;
            if !reply.is_success() {
                return Ok(Err(reply));
            }
            let next = reply.header(LINK).and_then(next_page).and_then(|link| reply.url.join(&link).ok());
            let media_type = reply.media_type().unwrap_or_default().to_owned();
            let filters = reply.header("oci-filters-applied").unwrap_or_default().to_owned();
            Ok(Ok(Page { next, media_type, filters, bytes: reply.bytes(PAGE_LIMIT)? }))
        });
        Ok(page?)
    }
}

/// The target of `<…>; rel="next"` in a `Link` header (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = parameters.split([';', ',']).any(|p| {
            let p: String = p.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
            p.eq_ignore_ascii_case("rel=next")
        });
        if is_next {
            return Some(target.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_one_called_next() {
        let next = |link| next_page(link);
        assert_eq!(next("</v2/a/tags/list?n=2&last=b>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list?n=2&last=b"));
        assert_eq!(next("<a>; rel=prev, <b,c>; title=x; rel=next").as_deref(), Some("b,c"));
        for none in ["", "<a>", "<a>; rel=\"prev\"", "<a", "a; rel=next"] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
