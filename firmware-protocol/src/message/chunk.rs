//! The layout of a chunk frame (PROTOCOL.md, "Transfer").

/// A piece of a component, in a frame of its own kind: fixed layout, because it is most of what
/// travels and is copied once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The session it is sent in.
    pub session: u32,
    /// Which component, by its place in the manifest.
    pub component: u8,
    /// Where its first byte belongs in the component.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Bytes of a chunk before its data.
pub const CHUNK_HEAD_BYTES: usize = 13;

impl<'a> Chunk<'a> {
    /// The bytes that stand before the data.
    #[must_use]
    pub const fn head(&self) -> [u8; CHUNK_HEAD_BYTES] {
        let [s0, s1, s2, s3] = self.session.to_le_bytes();
        let [o0, o1, o2, o3, o4, o5, o6, o7] = self.offset.to_le_bytes();
        [s0, s1, s2, s3, self.component, o0, o1, o2, o3, o4, o5, o6, o7]
    }

    /// Takes a chunk frame's payload apart.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (head, bytes) = payload.split_first_chunk::<CHUNK_HEAD_BYTES>()?;
        let &[s0, s1, s2, s3, component, o0, o1, o2, o3, o4, o5, o6, o7] = head;
        Some(Self {
            session: u32::from_le_bytes([s0, s1, s2, s3]),
            component,
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            bytes,
        })
    }
}
