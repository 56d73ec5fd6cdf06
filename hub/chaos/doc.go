// Package chaos holds the proof of invariant 1: logins go on while faults are
// made on purpose, and none that was confirmed to its phone is lost.
//
// There is nothing here but tests. Each runs some hundred logins by pages and
// phones that follow the documented client rules (package hub/hubtest), against
// real nodes on a real Redis, and counts. CHAOS_LOGINS sets how many (`task
// chaos` runs thousands); SOAK sets how long the soak takes (`task soak`).
package chaos
