// Package bare is the least that takes a login from a phone to a page on another
// node: the hub's libraries as their READMEs show them, with as many exchanges
// with Redis and as many messages per login as the hub has. It is what loginbench
// measures the hub against, and never served to anybody.
//
// It checks no secret, asks no provider, seals and signs nothing, limits and logs
// nothing, counts nothing and notices no lost message.
package bare
