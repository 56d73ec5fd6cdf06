package main

import (
	"math"
	"slices"
	"time"
)

// quantile is the nearest-rank q-quantile of sorted values: an observed value,
// not one in between. Zero where there is none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// latencies gives the figures that are reported of many durations, in ms. All
// of them are kept and sorted: there are at most some 100,000.
func latencies(name string, all []time.Duration) []figure {
	sorted := slices.Sorted(slices.Values(all))
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return []figure{
		{name + " p50", ms(quantile(sorted, 0.5)), "ms"},
		{name + " p90", ms(quantile(sorted, 0.9)), "ms"},
		{name + " p99", ms(quantile(sorted, 0.99)), "ms"},
		{name + " max", ms(quantile(sorted, 1)), "ms"},
	}
}

func mean(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}
