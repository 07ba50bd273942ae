//! A small LSTM beside the linear regression: it learns what that leaves over.

use fastrand::Rng;

use crate::{
    linear::{FEATURES, Linear, QUANTILES, dot, features, moments, slope},
    members::{Member, Quantiles},
    series::{HOUR, Series},
};

const HIDDEN: usize = 32;
const INPUTS: usize = 2;
/// Width of a gate's row: the inputs, what is remembered, and a constant.
const ROW: usize = INPUTS + HIDDEN + 1;
const GATES: usize = 4 * HIDDEN;
const OUT: usize = GATES * ROW;
const SKIP: usize = OUT + 2 * HIDDEN;
const WEIGHTS: usize = SKIP + 2 * FEATURES;
/// Half hours that are looked back on.
const LOOK: usize = 16;
const SEEDS: u64 = 3;
const EPOCHS: usize = 4;
const BATCH: usize = 32;
/// Every so many slots is learned from: hours that overlap say nearly the same.
const STRIDE: usize = 6;

/// One layer of 32 units (Hochreiter and Schmidhuber 1997, with a forget gate), and a linear way past it.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    /// Gates row by row (in, forget, out, cell), then what goes out, then the linear way.
    pub weights: Vec<f64>,
}

/// What a step leaves for the way back.
struct Step {
    row: [f64; ROW],
    gates: [f64; GATES],
    before: [f64; HIDDEN],
    cell: [f64; HIDDEN],
}

impl Net {
    /// Small weights by chance, nothing that goes out yet.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut weights = vec![0.0; WEIGHTS];
        for weight in &mut weights[..OUT] {
            *weight = (rng.f64() - 0.5) * 0.3;
        }
        for unit in HIDDEN..2 * HIDDEN {
            // It begins by remembering.
            weights[unit * ROW + ROW - 1] = 1.0;
        }
        Self { weights }
    }

    fn forward(&self, inputs: &[[f64; INPUTS]], known: &[f64]) -> (Vec<Step>, [f64; HIDDEN], [f64; 2]) {
        let (mut cell, mut hidden) = ([0.0; HIDDEN], [0.0; HIDDEN]);
        let mut steps = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut row = [1.0; ROW];
            row[..INPUTS].copy_from_slice(input);
            row[INPUTS..ROW - 1].copy_from_slice(&hidden);
            let mut gates = [0.0; GATES];
            for (unit, gate) in gates.iter_mut().enumerate() {
                let sum = dot(&self.weights[unit * ROW..(unit + 1) * ROW], &row);
                *gate = if unit < 3 * HIDDEN {
                    1.0 / (1.0 + (-sum).exp())
                } else {
                    sum.tanh()
                };
            }
            let before = cell;
            for unit in 0..HIDDEN {
                cell[unit] = gates[HIDDEN + unit] * before[unit] + gates[unit] * gates[3 * HIDDEN + unit];
                hidden[unit] = gates[2 * HIDDEN + unit] * cell[unit].tanh();
            }
            steps.push(Step {
                row,
                gates,
                before,
                cell,
            });
        }
        let out = [0, 1].map(|quantile| {
            dot(&self.weights[OUT + quantile * HIDDEN..][..HIDDEN], &hidden)
                + dot(&self.weights[SKIP + quantile * FEATURES..][..FEATURES], known)
        });
        (steps, hidden, out)
    }

    /// What it says.
    pub fn predict(&self, inputs: &[[f64; INPUTS]], known: &[f64]) -> [f64; 2] {
        self.forward(inputs, known).2
    }

    /// Adds to `gradient` how a loss changes with every weight, where `slopes` says how it changes with what goes out.
    pub fn backward(
        &self,
        inputs: &[[f64; INPUTS]],
        known: &[f64],
        slopes: impl FnOnce([f64; 2]) -> [f64; 2],
        gradient: &mut [f64],
    ) {
        let (steps, hidden, out) = self.forward(inputs, known);
        let mut to_hidden = [0.0; HIDDEN];
        for (quantile, slope) in slopes(out).into_iter().enumerate() {
            for unit in 0..HIDDEN {
                gradient[OUT + quantile * HIDDEN + unit] += slope * hidden[unit];
                to_hidden[unit] += slope * self.weights[OUT + quantile * HIDDEN + unit];
            }
            for (at, known) in known.iter().enumerate() {
                gradient[SKIP + quantile * FEATURES + at] += slope * known;
            }
        }
        let mut to_cell = [0.0; HIDDEN];
        for step in steps.iter().rev() {
            let mut to_gates = [0.0; GATES];
            for unit in 0..HIDDEN {
                let gate = |which: usize| step.gates[which * HIDDEN + unit];
                let shown = step.cell[unit].tanh();
                let cell = to_cell[unit] + to_hidden[unit] * gate(2) * (1.0 - shown * shown);
                to_gates[unit] = cell * gate(3) * gate(0) * (1.0 - gate(0));
                to_gates[HIDDEN + unit] = cell * step.before[unit] * gate(1) * (1.0 - gate(1));
                to_gates[2 * HIDDEN + unit] = to_hidden[unit] * shown * gate(2) * (1.0 - gate(2));
                to_gates[3 * HIDDEN + unit] = cell * gate(0) * (1.0 - gate(3) * gate(3));
                to_cell[unit] = cell * gate(1);
            }
            to_hidden = [0.0; HIDDEN];
            for (unit, slope) in to_gates.into_iter().enumerate() {
                let from = unit * ROW;
                for (gradient, row) in gradient[from..from + ROW].iter_mut().zip(&step.row) {
                    *gradient += slope * row;
                }
                let remembered = &self.weights[from + INPUTS..from + INPUTS + HIDDEN];
                for (to, weight) in to_hidden.iter_mut().zip(remembered) {
                    *to += slope * weight;
                }
            }
        }
    }
}

/// Three nets that differ in their seed, and their mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Lstm {
    seed: u64,
    scale: f64,
    nets: Vec<Net>,
}

/// A moment to learn from, and its truth.
type Seen = ([[f64; INPUTS]; LOOK], [f64; FEATURES], f64);

impl Lstm {
    /// Knows nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            scale: 0.0,
            nets: Vec::new(),
        }
    }
}

/// The last hours in usual half hours, and what the shape of the day said of them.
fn inputs(series: &Series, at: usize, scale: f64) -> [[f64; INPUTS]; LOOK] {
    let half = HOUR / 2;
    std::array::from_fn(|step| {
        let end = at.saturating_sub((LOOK - 1 - step) * half);
        let from = end.saturating_sub(half);
        let seen = series.sum(from, end) * 2.0 / scale;
        [seen, series.shape(from, from) / scale].map(|it: f64| it.min(20.0).ln_1p())
    })
}

fn train(seed: u64, linear: &Linear, seen: &[Seen]) -> Net {
    let mut net = Net::new(seed);
    for (quantile, weights) in linear.weights.iter().enumerate() {
        net.weights[SKIP + quantile * FEATURES..][..FEATURES].copy_from_slice(weights);
    }
    let mut rng = Rng::with_seed(seed);
    let mut order: Vec<usize> = (0..seen.len()).collect();
    let (mut mean, mut square) = (vec![0.0; WEIGHTS], vec![0.0; WEIGHTS]);
    let mut step = 0;
    let all = (seen.len().div_ceil(BATCH) * EPOCHS + 1) as f64;
    for _ in 0..EPOCHS {
        rng.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            let mut gradient = vec![0.0; WEIGHTS];
            for &at in batch {
                let (inputs, known, truth) = &seen[at];
                let slopes =
                    |out: [f64; 2]| [0, 1].map(|at| slope(QUANTILES[at], truth - out[at]) / batch.len() as f64);
                net.backward(inputs, known, slopes, &mut gradient);
            }
            step += 1;
            let rate = 0.003 * (1.0 - f64::from(step) / all);
            for at in 0..WEIGHTS {
                mean[at] += 0.1 * (gradient[at] - mean[at]);
                square[at] += 0.01 * (gradient[at] * gradient[at] - square[at]);
                let mean = mean[at] / (1.0 - 0.9_f64.powi(step));
                let square: f64 = square[at] / (1.0 - 0.99_f64.powi(step));
                net.weights[at] -= rate * mean / (square.sqrt() + 1e-8);
            }
        }
    }
    net
}

impl Member for Lstm {
    fn name(&self) -> &'static str {
        "LSTM"
    }

    fn learn(&mut self, series: &Series, now: usize) {
        let mut linear = Linear::default();
        linear.learn(series, now);
        self.scale = linear.scale;
        let seen: Vec<Seen> = moments(now, STRIDE)
            .map(|at| {
                let known = features(series, at, self.scale);
                (inputs(series, at, self.scale), known, series.hour(at) / self.scale)
            })
            .collect();
        self.nets = (0..SEEDS).map(|it| train(self.seed + it, &linear, &seen)).collect();
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        if self.nets.is_empty() {
            return Quantiles::default();
        }
        let inputs = inputs(series, at, self.scale);
        let known = features(series, at, self.scale);
        let mut sum = [0.0; 2];
        for net in &self.nets {
            let out = net.predict(&inputs, &known);
            sum = [sum[0] + out[0], sum[1] + out[1]];
        }
        let [p50, p90] = sum.map(|sum| sum / self.nets.len() as f64 * self.scale);
        Quantiles { p50, p90 }.ordered()
    }

    fn state(&self) -> Vec<f64> {
        let nets = self.nets.iter().flat_map(|net| &net.weights);
        [self.scale].iter().chain(nets).copied().collect()
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        let Some((scale, nets)) = state.split_first() else {
            return false;
        };
        if !nets.len().is_multiple_of(WEIGHTS) {
            return false;
        }
        self.scale = *scale;
        self.nets = nets.chunks(WEIGHTS).map(|it| Net { weights: it.to_vec() }).collect();
        true
    }
}
