# SPDX-License-Identifier: Apache-2.0
"""The network laboratory: namespaces of one machine that play client, gateway, routers, relays and portal."""
