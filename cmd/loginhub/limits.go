package main

// maxWaitersPerAddr returns how many sockets and polls one address may hold: half of
// the node's, so that one address cannot fill the node. It is at least 1,000, for a
// carrier's NAT in front of a small node. 0 means no limit, if LOGINHUB_RATE_LIMIT is
// 0.
func (s *settings) maxWaitersPerAddr() int {
	if s.RateLimit == 0 {
		return 0
	}
	return max(1000, s.MaxSockets/2)
}

// waitersFromFileLimit leaves a tenth of the file descriptors, and 128, to everything
// that is not a waiting page.
func waitersFromFileLimit() int { return max(64, fileLimit()*9/10-128) }

// connsFromFileLimit gives half of that tenth to connections without a waiting page.
// The rest is for the admin listener, Redis, the providers and files.
func connsFromFileLimit() int { return max(64, fileLimit()*19/20-128) }
