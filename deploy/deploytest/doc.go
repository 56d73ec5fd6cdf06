// Package deploytest tests the language of the whole tree: comments, errors, log texts
// and documents. It exports nothing.
package deploytest
