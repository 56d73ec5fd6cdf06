// Package sources tests the source text of the whole tree: its language, its imports and
// its sizes. It exports nothing and starts nothing.
package sources
