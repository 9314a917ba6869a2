/* SPDX-License-Identifier: Apache-2.0 */
/* ChannelData headers: the payload is inside, and writing the header again gives the same four bytes. */
#include <stdlib.h>
#include <string.h>

#include "wire/turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t header[TURN_CHANNEL_HEADER_LEN];
	uint16_t number = 0;
	int n = turn_channel_decode(data, size, &number);

	if (n < 0)
		return 0;
	if ((size_t)n + TURN_CHANNEL_HEADER_LEN > size || size - (size_t)n - TURN_CHANNEL_HEADER_LEN > 3 ||
	    number < TURN_CHANNEL_MIN || number > TURN_CHANNEL_MAX)
		abort();
	turn_channel_encode(header, number, (uint16_t)n);
	if (memcmp(header, data, sizeof(header)) != 0)
		abort();
	return 0;
}
