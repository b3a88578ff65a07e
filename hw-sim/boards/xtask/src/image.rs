//! What a linker made, as the bytes that a part holds.

use std::fs;
use std::path::Path;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile32, ProgramHeader as _};

use crate::error::Error;

/// The bytes of a program from its first load address on, gaps filled with zeros.
pub(crate) fn bytes(elf: &Path) -> Result<Vec<u8>, Error> {
    let data = fs::read(elf).map_err(Error::file(elf))?;
    let problem = |problem: object::Error| Error::Image {
        path: elf.to_owned(),
        problem: problem.to_string(),
    };
    let file = ElfFile32::<object::Endianness>::parse(&*data).map_err(problem)?;
    let endian = file.endian();
    let mut pieces = Vec::new();
    for header in file.elf_program_headers() {
        let bytes = header.data(endian, &*data).map_err(|()| Error::Image {
            path: elf.to_owned(),
            problem: "a segment reaches behind its end".to_owned(),
        })?;
        if header.p_type(endian) == PT_LOAD && !bytes.is_empty() {
            pieces.push((header.p_paddr(endian) as usize, bytes));
        }
    }
    pieces.sort_unstable_by_key(|(start, _)| *start);
    let first = pieces.first().map_or(0, |(start, _)| *start);
    let mut image = Vec::new();
    for (start, bytes) in pieces {
        image.resize(start - first, 0);
        image.extend_from_slice(bytes);
    }
    Ok(image)
}
