package main

import "syscall"

// maxWaitersPerAddr is how many sockets and polls one address may hold: half of the node's,
// so that one address alone does not fill it, but never below 1,000, for a
// carrier's NAT on a small node. 0, no limit, where the limits are off.
func (s *settings) maxWaitersPerAddr() int {
	if s.RateLimit == 0 {
		return 0
	}
	return max(1000, s.MaxSockets/2)
}

// fileLimit is how many file descriptors the process may have.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1250
	}
	return int(min(limit.Cur, 10_000_000))
}

// waitersFromFileLimit leaves a tenth, and some, of the file descriptors to
// everything that is not a waiting page.
func waitersFromFileLimit() int { return max(64, fileLimit()*9/10-128) }

// connsFromFileLimit leaves half of that tenth to connections without a waiting
// page. The rest is for the admin listener, Redis, the providers and files.
func connsFromFileLimit() int { return max(64, fileLimit()*19/20-128) }
