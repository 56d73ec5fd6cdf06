// Package provider defines what a provider is: a Kind that reads its configuration,
// opens it and exchanges a one-time code for an Identity, and the errors of that call.
//
// It contains no provider. Each has a package of its own below this one; the table of all
// is in cmd/loginhub. It imports the standard library only.
package provider
