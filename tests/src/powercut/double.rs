//! Every cut of a deed, and every cut of the recovery from it.

use std::collections::{BTreeMap, HashSet};

use firmware_protocol::boot::ResetCause;
use hw_sim::{Fault, SimFlash};

use super::cut;
use super::judge::Violation;
use super::model::Model;
use super::path::{Path, copy, mark, world};
use super::sweep::{Figures, Sweep, Until};
use super::unit::Unit;

impl Sweep<'_> {
    /// Cuts everywhere, and again everywhere on the way on from there: in the start behind the cut and in what
    /// the host does then. Figures are of the second cuts.
    ///
    /// # Errors
    /// What goes wrong without one.
    pub(super) fn try_doubles(&self, until: Until, figures: &mut Figures) -> Result<(), Violation> {
        let path = self.walk(&self.origin()?)?;
        let models = match path.settled(&self.court()) {
            Ok(models) => models,
            Err((fault, violation)) => {
                figures.failures.push(self.failure(vec![fault], violation));
                return Ok(());
            }
        };
        let word_bytes = self.part.spec.geometry.word_bytes;
        let mut fired = BTreeMap::new();
        let (mut cut_once, mut all, mut judged) = (HashSet::new(), HashSet::new(), HashSet::new());
        for index in 0..path.operations.len() {
            let mut may_be = models[index..index + 2].to_vec();
            may_be.dedup();
            for tear in path.change(index).cuts(word_bytes, self.grain) {
                let left = path.torn(index, tear, &mut fired);
                if !cut_once.insert((mark(&left), world(&may_be))) {
                    continue;
                }
                let first = cut::fault(index as u64 + 1, tear);
                let way_on = match self.way_on(left, &may_be) {
                    Ok(way_on) => way_on,
                    Err(violation) => {
                        figures.failures.push(self.failure(vec![first], violation));
                        break;
                    }
                };
                let deed_operations = path.operations.len() as u64;
                self.cut_way_on(&way_on, first, deed_operations, (&mut all, &mut judged), figures);
                if until.is_over(&figures.failures) {
                    return Ok(());
                }
            }
        }
        figures.distinct = all.len();
        Ok(())
    }

    /// The start behind a cut, and what a host does then.
    fn way_on(&self, left: SimFlash, may_be: &[Model]) -> Result<Path, Violation> {
        let origin = copy(&left);
        let mut unit = Unit::off(self.part, self.releases, left, may_be[0].clone());
        unit.belief.maybe = may_be[1..].to_vec();
        Path::of(&mut unit, origin, |unit| {
            self.court().start_again(unit, ResetCause::PowerOn)?;
            self.deed.goal.reach(unit)
        })
    }

    fn cut_way_on(
        &self,
        way_on: &Path,
        first: Fault,
        deed_operations: u64,
        (all, judged): (&mut HashSet<u64>, &mut HashSet<(u64, u64)>),
        figures: &mut Figures,
    ) {
        figures.operations += way_on.operations.len();
        let Fault::Flash { at_operation, .. } = first else { return };
        let behind = (Some((at_operation, first)), deed_operations);
        for (index, may_be) in way_on.may_be.iter().take(way_on.operations.len()).enumerate() {
            let seen = (&mut *all, &mut *judged);
            if !self.cut_operation((way_on, index), may_be, behind, seen, figures) {
                return;
            }
        }
    }
}
