package ratelimit

// The names of the limits, as metrics and documents use them.
const (
	nameRequests            = "requests"
	nameTickets             = "tickets"
	nameTicketsNetwork      = "tickets_network" // of an IPv6 /48
	nameTicketsNode         = "tickets_node"    // of all addresses
	nameDevices             = "devices"         // device authorizations
	nameDevicesNetwork      = "devices_network" // of an IPv6 /48
	nameDevicesNode         = "devices_node"    // of all addresses
	nameDevicesClient       = "devices_client"
	nameUserCodes           = "user_codes"         // wrong user codes
	nameUserCodesNetwork    = "user_codes_network" // of an IPv6 /48
	namePhones              = "phones"
	nameRefusedCodes        = "refused_auth_codes"         // of an address, by provider
	nameRefusedCodesNetwork = "refused_auth_codes_network" // of an IPv6 /48
	nameRefusedCodesTicket  = "refused_auth_codes_ticket"  // of an address, by ticket
	nameUsers               = "users"
	nameRefused             = "refused_calls"
	nameWrong               = "wrong_matches"
	nameWebLogins           = "website_logins"
	nameOpenID              = "openid_requests"         // authorize and pushed requests of an address
	nameOpenIDNetwork       = "openid_requests_network" // of an IPv6 /48
	nameOpenIDClient        = "openid_requests_client"  // of all addresses, by client
	nameWxacodes            = "wxacodes"                // calls for codes that a provider draws: the link is shown instead
	nameEvents              = "events"                  // notifications of providers
	nameWaiters             = "waiters"
	nameCalls               = "provider_calls" // maxProviderCalls concurrent calls to one provider: 503, not 429
	// QRRenders is the limit of concurrent renderings of QR codes on this node:
	// 503. Package qr holds it.
	QRRenders = "qr_renders"
)

// Names returns the names of all limits.
func Names() []string {
	return []string{nameRequests, nameTickets, nameTicketsNetwork, nameTicketsNode, namePhones,
		nameDevices, nameDevicesNetwork, nameDevicesNode, nameDevicesClient, nameUserCodes, nameUserCodesNetwork,
		nameRefusedCodes, nameRefusedCodesNetwork, nameRefusedCodesTicket, nameUsers, nameRefused, nameWrong, nameWebLogins,
		nameOpenID, nameOpenIDNetwork, nameOpenIDClient, nameWxacodes, nameEvents, nameWaiters, nameCalls, QRRenders}
}

// instrument makes every limit report its refusals by name.
func (l *Limits) instrument() {
	report := func(name string) func() { return func() { l.onReject(name) } }
	l.Requests.onReject = report(nameRequests)
	l.Phones.onReject = report(namePhones)
	l.users.onReject = report(nameUsers)
	l.refusedCalls.onReject = report(nameRefused)
	l.wrongMatches.onReject = report(nameWrong)
	l.Tickets.addresses.onReject = report(nameTickets)
	l.Tickets.networks.onReject = report(nameTicketsNetwork)
	l.Tickets.node.onReject = report(nameTicketsNode)
	l.Devices.from.addresses.onReject = report(nameDevices)
	l.Devices.from.networks.onReject = report(nameDevicesNetwork)
	l.Devices.from.node.onReject = report(nameDevicesNode)
	l.Devices.clients.onReject = report(nameDevicesClient)
	l.UserCodes.addresses.onReject = report(nameUserCodes)
	l.UserCodes.networks.onReject = report(nameUserCodesNetwork)
	l.Codes.addresses.onReject = report(nameRefusedCodes)
	l.Codes.networks.onReject = report(nameRefusedCodesNetwork)
	l.Codes.tickets.onReject = report(nameRefusedCodesTicket)
	l.WebLogins.onReject = report(nameWebLogins)
	l.OpenID.addresses.onReject = report(nameOpenID)
	l.OpenID.networks.onReject = report(nameOpenIDNetwork)
	l.OpenID.clients.onReject = report(nameOpenIDClient)
	l.Wxacodes.onReject = report(nameWxacodes)
	l.Events.onReject = report(nameEvents)
	l.Waiters.onReject = report(nameWaiters)
}
