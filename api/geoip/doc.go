// Package geoip finds the country and city of an address in a MaxMind DB file that the operator
// supplies. It asks no other machine. GeoLite2, GeoIP2, DB-IP and IP2Location share one schema of
// records (City or Country); IPinfo's flat fields are read too.
//
// The texts are data of a third party, so they are cleaned as other outside text is. A place
// is a hint for a person: databases are often wrong about cities, and a VPN moves an address.
package geoip
