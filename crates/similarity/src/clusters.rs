//! Which texts hang together through pairs.

/// Disjoint sets of numbers, each named by its smallest.
pub struct Clusters(Vec<u32>);

impl Clusters {
    /// Every number alone.
    pub fn new(count: usize) -> Self {
        Self((0..count as u32).collect())
    }

    /// The smallest number of a cluster.
    pub fn first(&mut self, of: u32) -> u32 {
        let mut at = of;
        while let Some(above) = self.0.get(at as usize).copied().filter(|above| *above != at) {
            let top = self.0.get(above as usize).copied().unwrap_or(above);
            if let Some(link) = self.0.get_mut(at as usize) {
                *link = top;
            }
            at = top;
        }
        at
    }

    /// Makes one cluster of two.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first(a), self.first(b));
        if let Some(link) = self.0.get_mut(a.max(b) as usize) {
            *link = a.min(b);
        }
    }

    /// By number: the smallest of its cluster.
    pub fn into_firsts(mut self) -> Vec<u32> {
        (0..self.0.len() as u32).map(|number| self.first(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Clusters;

    #[test]
    fn a_cluster_is_named_by_its_smallest() {
        let mut clusters = Clusters::new(7);
        for (a, b) in [(5, 6), (3, 5), (1, 2), (6, 1)] {
            clusters.join(a, b);
        }
        assert_eq!(clusters.into_firsts(), [0, 1, 1, 1, 4, 1, 1]);
    }
}
