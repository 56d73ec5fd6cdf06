package main

import (
	"math"
	"slices"
	"time"
)

// quantile returns the nearest-rank q-quantile of sorted values, which is always
// an observed value. It returns 0 for an empty slice.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// latencies returns the reported quantiles in ms. It sorts all values; there are
// at most some 100,000.
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
