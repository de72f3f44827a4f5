//! Dividing a budget among zones: water-filling in whole tokens.

mod share;
mod suggestion;

pub use suggestion::{Deficit, Suggestion, ToolUse, suggestions};

use std::fmt;

use crate::settings::share_of;
use crate::{Bounds, Tier, Utilization, Zone, ZoneRule};
use share::proportional;

/// What a zone has, and the rules by which it gets tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand<'a> {
    /// Its rules.
    pub rule: &'a ZoneRule,
    /// Tokens it has.
    pub tokens: usize,
    /// The tools whose results are part of them; empty for zones without tool results.
    pub tools: Vec<ToolDemand<'a>>,
}

/// What the results of one tool have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolDemand<'a> {
    /// Name of the tool.
    pub name: &'a str,
    /// Tokens of all its results, part of the zone's.
    pub tokens: usize,
    /// Tokens they may have together; `None`: no limit but the zone's.
    pub max: Option<usize>,
}

/// A budget, divided.
///
/// `zones + output + unused = budget`, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The zones, in the order of the demands.
    pub zones: Vec<ZoneAllocation>,
    /// Tokens for the answer.
    pub output: usize,
    /// Tokens that nobody wants.
    pub unused: usize,
    /// Tokens above the soft mark: reported, and no reason to edit.
    pub over_soft: usize,
}

/// What a zone gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneAllocation {
    /// The zone.
    pub zone: Zone,
    /// Tokens it has.
    pub demand: usize,
    /// Tokens it gets; never more than it has.
    pub tokens: usize,
    /// The tools that have a share of it.
    pub tools: Vec<ToolAllocation>,
}

/// What the results of a tool may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolAllocation {
    /// Name of the tool.
    pub name: Box<str>,
    /// Tokens they have.
    pub demand: usize,
    /// Tokens they may have: what they have, as far as the tool's own limit and the zone's
    /// allocation go. Tools of a zone may have more together than the zone: which results have to
    /// go is the ladder's choice.
    pub tokens: usize,
}

/// Why a budget cannot be divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The budget.
    pub budget: usize,
    /// Tokens that cannot be given up: floors, protected zones and the output minimum.
    pub required: usize,
    /// Of these, the output minimum.
    pub output: usize,
    /// Of these, by zone; zones without a floor are left out.
    pub floors: Vec<(Zone, usize)>,
    /// Protected zones that have more than their own maximum, whatever the budget.
    pub over_max: Vec<OverMax>,
}

/// A zone that may not be edited and has more than it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverMax {
    /// The zone.
    pub zone: Zone,
    /// Tokens it has.
    pub demand: usize,
    /// Tokens it may have.
    pub max: usize,
}

/// Divides `budget` tokens among the output and the zones.
///
/// Tokens are handed out in one fixed order, until the budget is used up:
///
/// 1. Floors, all or none: zones that may not be edited (up to tier mostly protected) get what
///    they have, others `min`, the output its `min`.
/// 2. The output, up to its `target`.
/// 3. The zones by priority, 1 first, up to their `target`.
/// 4. The zones by priority, up to their cap.
/// 5. The output, up to its `max`.
///
/// A zone's cap is the least of `max`, `useful` and what it has, where each tool's results count no
/// further than the tool's own limit; neither floor nor target goes beyond it. So room that a zone
/// has no use for is there for the others. Zones of the same priority share in proportion to what
/// they lack, by the divisor method of Jefferson (D'Hondt), with ties for the earlier zone: unlike
/// rounding, it never takes a token back from a zone because there is one more to share.
///
/// Passing the soft mark leaves text where it is, since that costs nothing: it is only reported.
/// Tokens of the chat template that belong to no zone are to be taken off `budget` before.
///
/// It follows that the sum never exceeds `budget`; that every floor and cap holds; that one token
/// more of budget goes to one place and is taken from none; that a zone never gets less for having
/// more; and that the order of zones of different priority does not matter.
///
/// # Errors
/// [`Shortfall`] when the floors exceed the budget, or when a protected zone exceeds its own `max`.
pub fn allocate(
    budget: usize,
    utilization: &Utilization,
    output: Bounds,
    demands: &[Demand<'_>],
) -> Result<Allocation, Shortfall> {
    let claims: Vec<Claim> = demands.iter().map(Claim::new).collect();
    let required = shortfall(budget, output, demands, &claims)?;

    let mut room = budget - required;
    let mut given: Vec<usize> = claims.iter().map(|claim| claim.floor).collect();
    let to_target = room.min(output.target.saturating_sub(output.min));
    room -= to_target;
    room = raise(room, demands, &mut given, |at| claims[at].target);
    room = raise(room, demands, &mut given, |at| claims[at].cap);
    let output_so_far = output.min + to_target;
    let to_max = room.min(output.max.saturating_sub(output_so_far));
    let unused = room - to_max;

    Ok(Allocation {
        zones: demands
            .iter()
            .zip(given)
            .map(|(demand, tokens)| demand.allocation(tokens))
            .collect(),
        output: output_so_far + to_max,
        unused,
        over_soft: (budget - unused).saturating_sub(share_of(utilization.soft, budget)),
    })
}

impl Tier {
    /// Whether a zone of this tier always gets what it has, since nothing may be taken from it.
    pub fn is_fixed(self) -> bool {
        self <= Self::MostlyProtected
    }
}

impl ZoneAllocation {
    /// Tokens that have to go for the zone to keep to its allocation.
    pub fn overflow(&self) -> usize {
        self.demand - self.tokens
    }
}

impl ToolAllocation {
    /// Tokens that have to go for the tool to keep to its limit.
    pub fn overflow(&self) -> usize {
        self.demand - self.tokens
    }
}

impl Demand<'_> {
    /// The most that the zone may get.
    fn cap(&self) -> usize {
        let over_tools = self
            .tools
            .iter()
            .map(|tool| tool.tokens - tool.within_max())
            .fold(0, usize::saturating_add);
        self.tokens
            .saturating_sub(over_tools)
            .min(self.rule.bounds.max)
            .min(self.rule.useful)
    }

    fn allocation(&self, tokens: usize) -> ZoneAllocation {
        let of_tool = |tool: &ToolDemand<'_>| match self.rule.tier.is_fixed() {
            true => tool.tokens,
            false => tool.within_max().min(tokens),
        };
        ZoneAllocation {
            zone: self.rule.zone.clone(),
            demand: self.tokens,
            tokens,
            tools: self
                .tools
                .iter()
                .map(|tool| ToolAllocation {
                    name: tool.name.into(),
                    demand: tool.tokens,
                    tokens: of_tool(tool),
                })
                .collect(),
        }
    }
}

impl ToolDemand<'_> {
    fn within_max(&self) -> usize {
        self.max.map_or(self.tokens, |max| max.min(self.tokens))
    }
}

/// A zone's floor, target and cap: floor <= target <= cap <= what it has.
struct Claim {
    floor: usize,
    target: usize,
    cap: usize,
}

impl Claim {
    fn new(demand: &Demand<'_>) -> Self {
        if demand.rule.tier.is_fixed() {
            return Self {
                floor: demand.tokens,
                target: demand.tokens,
                cap: demand.tokens,
            };
        }
        let cap = demand.cap();
        let floor = demand.rule.bounds.min.min(cap);
        Self {
            floor,
            target: demand.rule.bounds.target.clamp(floor, cap),
            cap,
        }
    }
}

/// The sum of the floors, unless that is too much.
fn shortfall(
    budget: usize,
    output: Bounds,
    demands: &[Demand<'_>],
    claims: &[Claim],
) -> Result<usize, Shortfall> {
    let required = claims
        .iter()
        .map(|claim| claim.floor)
        .fold(output.min, usize::saturating_add);
    let over_max: Vec<OverMax> = demands
        .iter()
        .filter_map(|demand| OverMax::find(demand.rule, demand.tokens))
        .collect();
    if required <= budget && over_max.is_empty() {
        return Ok(required);
    }
    Err(Shortfall {
        budget,
        required,
        output: output.min,
        floors: demands
            .iter()
            .zip(claims)
            .filter(|(_, claim)| claim.floor > 0)
            .map(|(demand, claim)| (demand.rule.zone.clone(), claim.floor))
            .collect(),
        over_max,
    })
}

/// Raises the zones toward `level(zone)`, one priority after the other; what is left of `room`.
fn raise(
    mut room: usize,
    demands: &[Demand<'_>],
    given: &mut [usize],
    level: impl Fn(usize) -> usize,
) -> usize {
    let mut priorities: Vec<u32> = demands.iter().map(|demand| demand.rule.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    for priority in priorities {
        let class: Vec<usize> = (0..demands.len())
            .filter(|&at| demands[at].rule.priority == priority)
            .collect();
        let lacks: Vec<usize> = class.iter().map(|&at| level(at) - given[at]).collect();
        for (&at, share) in class.iter().zip(proportional(room, &lacks)) {
            given[at] += share;
            room -= share;
        }
    }
    room
}

impl OverMax {
    /// Whether a zone with so many tokens has more than it may have and may not be edited.
    pub(crate) fn find(rule: &ZoneRule, tokens: usize) -> Option<Self> {
        (rule.tier.is_fixed() && tokens > rule.bounds.max).then(|| Self {
            zone: rule.zone.clone(),
            demand: tokens,
            max: rule.bounds.max,
        })
    }
}

impl Shortfall {
    /// Tokens that are missing; 0 if only a zone's own maximum is exceeded.
    pub fn missing(&self) -> usize {
        self.required.saturating_sub(self.budget)
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for over in &self.over_max {
            let OverMax { zone, demand, max } = over;
            write!(
                f,
                "{separator}zone {zone} has {demand} tokens, may not be edited and has a maximum \
                 of {max}"
            )?;
            separator = "; ";
        }
        if self.missing() > 0 {
            let (required, budget) = (self.required, self.budget);
            write!(
                f,
                "{separator}{required} tokens are required but the budget is {budget} ("
            )?;
            for (zone, floor) in &self.floors {
                write!(f, "{zone} {floor}, ")?;
            }
            write!(f, "output minimum {})", self.output)?;
        }
        Ok(())
    }
}

impl std::error::Error for Shortfall {}

#[cfg(test)]
mod tests;
