// Package chaos tests that no login is lost: logins go on while faults are made
// on purpose, and every login that was confirmed to its phone reaches its page.
//
// The package contains only tests. Each runs some hundred logins by pages and
// phones that follow the documented client rules (package hub/hubtest), against
// real nodes on a real Redis, and counts. Two nodes or more are behind the shipped
// nginx. CHAOS_LOGINS sets how many logins (`task chaos` runs thousands),
// CHAOS_NODES on how many nodes in place of the test's own two or three, and SOAK
// how long the soak takes (`task soak`).
package chaos
