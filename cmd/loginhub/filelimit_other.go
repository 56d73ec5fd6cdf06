//go:build !unix

package main

// fileLimit returns how many sockets the process may have: Windows has no limit of its
// own for them.
func fileLimit() int { return 100_000 }
