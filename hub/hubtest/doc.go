// Package hubtest is the test harness: real redis-servers, real nodes as
// processes, and browsers and phones that speak the wire contract and know
// nothing of the hub's insides.
//
// Only tests import it. It owns no expectations: stories stand beside what they
// are about.
package hubtest
