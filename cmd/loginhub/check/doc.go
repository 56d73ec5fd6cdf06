// Package check tests the settings of a node against the real Redis, the providers and
// the public URL: `loginhub check`. It gets the settings as values; package main reads
// and validates them.
package check
