// Package ratelimit holds the limits of one node: what a caller may do per
// minute, how many browsers wait and how many calls to a provider run at the
// same time, and which codes a provider has just refused.
//
// It contains neither HTTP nor the rules of a login. The callers decide what to
// count and what a refusal answers; deploy/CONFIGURATION.md lists all limits.
package ratelimit
