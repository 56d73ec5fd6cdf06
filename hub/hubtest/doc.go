// Package hubtest is the test harness: real redis-servers, nodes as processes, and
// browsers and phones that use only the wire contract.
//
// Only tests import it. It contains no tests: each test is in the package that it is
// about.
package hubtest
