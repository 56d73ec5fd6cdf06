package main

import "testing"

// TestVersion_OfThePackage: npm refuses a version that is not as in semver.org 2.0.
func TestVersion_OfThePackage(t *testing.T) {
	t.Parallel()
	for in, want := range map[[2]string]string{
		{"v1.2.3", "0123"}:                          "1.2.3",
		{"v0.0.0-20261128000000-abc+dirty", "0123"}: "0.0.0-20261128000000-abc+dirty",
		{"(devel)", "012345678901"}:                 "0.0.0-dev.g012345678901",
		{"unknown", ""}:                             "0.0.0-dev",
		{"v1.2", "ab"}:                              "0.0.0-dev.gab",
	} {
		if got := packageVersion(in[0], in[1]); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
