// Your hub. In WeChat's console it must be on the list of request domains.
export default { hub: 'https://login.example.com' }
