// Package providertest is what the imitations of providers share: single-use codes, the
// page on which a user agrees, and faults of calls.
//
// An imitation is an [http.Handler] in a package of its own below its provider, with the
// provider's exact answers. Command server runs any of them. It keeps what it issues, so
// it is for tests only.
package providertest
