//! `noflake key delegate`: says what one host may do on devices, signed by the operate role.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use firmware_protocol::delegation::{Action, Actions, Delegation, MAX_PRODUCTS, MAX_SERIALS};
use serde_json::json;

use crate::cli::Context;
use crate::commands::PassphraseArgs;
use crate::commands::clock::now_s;
use crate::commands::root::RootArgs;
use crate::commands::signing::{OfRole, SigningKey, borrowed, unlock_all};
use crate::error::CommandError;
use crate::evidence::{escape_text, utc_from_unix_s};
use crate::trust::{
    DelegationError, Hex, KeyRole, PublicKeyFile, Secrecy, hint, refuse_taken, replace_file,
    sign_delegation,
};

/// Delegate: say, with an operate key, what a host may do on which devices, and for how long
///
/// The host is named by the public half of its key, as noflake key generate --role host makes it. The delegation goes beside that
/// key as NAME.nfd; noflake shows it to devices with --as NAME.key. It cannot be passed on, and devices that take
/// changes from delegated hosts only (life cycle field) take from it what it names.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Public half of the host's key
    host: PathBuf,
    /// Key of the operate role, a .key or .signer file; named as often as its threshold says
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
    /// Product that it may work on; again for more
    #[arg(long = "product", value_name = "NAME", required = true)]
    products: Vec<String>,
    /// Serial number that it may work on, or the begin of some and a *; again for more [default: all]
    #[arg(long = "serial", value_name = "PATTERN")]
    serials: Vec<String>,
    /// What it may do; again for more [default: all of them]
    #[arg(long = "action", value_name = "ACTION", value_parser = action())]
    actions: Vec<Action>,
    /// How long it counts, as 12h, 1d or 4weeks
    #[arg(long = "for", value_name = "TIME", default_value = "1d", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// Epoch; root records take back those below theirs [default: the lowest that counts]
    #[arg(long, value_name = "N")]
    epoch: Option<u32>,
    /// Who or what the host is [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    /// File to write [default: NAME.nfd beside NAME.pub]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there already
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

fn action() -> impl TypedValueParser<Value = Action> {
    let named = PossibleValuesParser::new(Action::ALL.map(Action::word));
    named.try_map(|word| {
        let found = Action::ALL.into_iter().find(|action| action.word() == word);
        found.ok_or("no such action")
    })
}

/// The actions by name.
pub(super) fn words(actions: Actions, between: &str) -> String {
    let words: Vec<&str> = actions.iter().map(Action::word).collect();
    words.join(between)
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let root = args.root.require(context)?;
    let root = root.record().claims();
    let PublicKeyFile { role, public_key: host } = PublicKeyFile::open(&args.host)?;
    if role != KeyRole::Host {
        let (expected, got) = (KeyRole::Host.word(), role.word());
        return Err(CommandError::WrongRole { path: args.host.clone(), expected, got });
    }
    refuse_stars(args)?;
    let keys = SigningKey::read_all(&args.keys)?;
    let out = args.output.clone().unwrap_or_else(|| args.host.with_extension("nfd"));
    refuse_taken(&out, args.force)?;
    let stem = args.host.file_stem().unwrap_or_default().to_string_lossy();
    let made_at_s = now_s();
    let delegation = Delegation {
        host,
        name: args.name.as_deref().unwrap_or(&stem),
        products: listed("products", &args.products, MAX_PRODUCTS)?,
        serials: listed("serial numbers", &args.serials, MAX_SERIALS)?,
        actions: match args.actions.as_slice() {
            [] => Actions::ALL,
            named => named.iter().fold(Actions::NONE, |all, action| all.with(*action)),
        },
        epoch: args.epoch.unwrap_or(root.epochs.operate),
        not_after_s: made_at_s.saturating_add(args.lasts.as_secs()),
        made_at_s,
    };
    let sheet = Sheet(&delegation);
    context.output.progress(&format_args!("About to sign this delegation:\n{sheet}"));
    let of_role = OfRole { role: "operate", keys: &root.operate };
    let signers = unlock_all(&keys, args.passphrase, Some(of_role), context)?;
    let bytes = sign_delegation(&delegation, &borrowed(&signers), root)?;
    replace_file(&out, Secrecy::Public, args.force, |file| {
        std::io::Write::write_all(file, &bytes)
    })?;
    let human = format!(
        "Delegated {} to {}, until {}: {}.",
        words(delegation.actions, ", "),
        escape_text(delegation.name),
        utc_from_unix_s(delegation.not_after_s),
        out.display()
    );
    let machine = json!({
        "delegation": out,
        "host": Hex(&delegation.host).to_string(),
        "name": delegation.name,
        "products": args.products,
        "serials": args.serials,
        "actions": delegation.actions.iter().map(Action::word).collect::<Vec<_>>(),
        "epoch": delegation.epoch,
        "not_after": utc_from_unix_s(delegation.not_after_s),
    });
    context.output.result(&human, &machine);
    Ok(())
}

/// Devices take a `*` for more than itself at the end of a serial number only: a delegation with another one would be
/// signed, and fit nothing.
fn refuse_stars(args: &Args) -> Result<(), DelegationError> {
    let refused =
        |what, got: &String, rule| Err(DelegationError::Pattern { what, got: got.clone(), rule });
    if let Some(product) = args.products.iter().find(|product| product.contains('*')) {
        return refused("product", product, "products are named whole, without a *");
    }
    let begin = |serial: &str| serial.strip_suffix('*').unwrap_or(serial).to_owned();
    match args.serials.iter().find(|serial| begin(serial).contains('*')) {
        Some(serial) => refused("serial number", serial, "a * stands at its end only"),
        None => Ok(()),
    }
}

fn listed<'a, const N: usize>(
    what: &'static str,
    named: &'a [String],
    limit: usize,
) -> Result<heapless::Vec<&'a str, N>, DelegationError> {
    let mut list = heapless::Vec::new();
    for item in named {
        let too_many = |_| DelegationError::TooMany { what, got: named.len(), limit };
        list.push(item.as_str()).map_err(too_many)?;
    }
    Ok(list)
}

/// A delegation for people.
struct Sheet<'a>(&'a Delegation<'a>);

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delegation { host, name, products, serials, actions, epoch, not_after_s, .. } = self.0;
        writeln!(f, "host        {} ({})", escape_text(name), hint(host))?;
        writeln!(f, "products    {}", escape_text(&products.join(", ")))?;
        let serials = if serials.is_empty() { "all".into() } else { serials.join(", ") };
        writeln!(f, "devices     {}", escape_text(&serials))?;
        writeln!(f, "actions     {}", words(*actions, ", "))?;
        write!(f, "until       {}, epoch {epoch}", utc_from_unix_s(*not_after_s))
    }
}
