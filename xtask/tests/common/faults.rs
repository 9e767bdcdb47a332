//! How the registry misbehaves. All off by default.

/// Cuts a connection after `at` bytes of a body, `times` times in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: u64,
    pub(crate) times: u32,
}

/// Answers `status` to the next `times` requests of `method` whose path contains `path`.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    pub(crate) times: u32,
    pub(crate) retry_after: Option<&'static str>,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody everything.
    #[default]
    Open,
    /// `user:password` by `Basic`.
    Basic,
    /// A token of `/token`, which takes `user:password`, or anybody for `pull`.
    Token,
    /// A token of `/token`, which takes the identity token `identity` by POST.
    Identity,
}

/// Every fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) access: Access,
    /// How many requests a token is good for; after that it has expired.
    pub(crate) token_uses: Option<u32>,
    /// The lifetime the token server tells, in seconds.
    pub(crate) token_lifetime: Option<u64>,
    /// The token server is named by plain http on a host that is not this machine.
    pub(crate) open_realm: bool,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) cut_upload: Option<Cut>,
    pub(crate) cut_download: Option<Cut>,
    /// The same for manifests and lists.
    pub(crate) cut_documents: Option<Cut>,
    /// Does what PUT asks, then cuts the connection instead of answering, so many times.
    pub(crate) lose_answers: u32,
    /// Reads this much of an upload, then nothing more.
    pub(crate) hang_upload: Option<u64>,
    /// Never answers.
    pub(crate) hang: bool,
    /// Flips a byte of every manifest served.
    pub(crate) alter_manifests: bool,
    /// Flips a byte of every blob served.
    pub(crate) alter_blobs: bool,
    /// Claims the digest of something else.
    pub(crate) wrong_digest: bool,
    /// Claims no digest.
    pub(crate) no_digest: bool,
    /// Claims this media type for every manifest.
    pub(crate) manifest_type: Option<&'static str>,
    /// Starts uploads without saying where.
    pub(crate) no_upload_location: bool,
    /// Stores things without saying where.
    pub(crate) no_stored_location: bool,
    /// Names upload URLs with their host instead of by path alone.
    pub(crate) absolute_location: bool,
    /// Sends uploads to the storage service.
    pub(crate) upload_to_storage: bool,
    /// Names upload URLs in ftp.
    pub(crate) strange_location: bool,
    /// Knows neither subjects nor referrers (distribution spec 1.0).
    pub(crate) no_referrers: bool,
    /// So many entries on one page of referrers.
    pub(crate) referrers_page: Option<usize>,
    /// Filters by artifact type and says so.
    pub(crate) filters_referrers: bool,
    /// Overwrites a fallback tag with an empty index right after it was written, so many times.
    pub(crate) clobber_fallback: u32,
    /// So many tags on one page.
    pub(crate) tag_page: Option<usize>,
    /// The last page of tags names the first one as its next.
    pub(crate) endless_tags: bool,
    /// The next page of tags is at the storage service.
    pub(crate) tags_elsewhere: bool,
    /// Answers 307 to GET of a blob: it is at the storage service.
    pub(crate) redirect_blobs: bool,
    /// Answers 307 to GET of a blob with the same URL again.
    pub(crate) redirect_loop: bool,
    /// Knows no HEAD.
    pub(crate) no_head: bool,
    /// Serves blobs from the start whatever range is asked for.
    pub(crate) ignore_range: bool,
    /// Refuses bodies larger than this with 413.
    pub(crate) largest_body: Option<u64>,
    /// Refuses by closing the connection at once, without reading the body.
    pub(crate) rude: bool,
    /// Takes blobs only in chunks (405 to a PUT with a body).
    pub(crate) only_chunks: bool,
    /// Forgets uploads that were cut.
    pub(crate) no_resume: bool,
    /// Starts an upload when asked to mount.
    pub(crate) no_mount: bool,
    /// Announces this `OCI-Chunk-Min-Length`, and refuses shorter chunks that are not the last.
    pub(crate) least_chunk: Option<u64>,
}

impl Faults {
    /// Uses up one of a fault's times.
    pub(crate) fn take(times: &mut u32) -> bool {
        let some = *times > 0;
        *times = times.saturating_sub(1);
        some
    }
}
