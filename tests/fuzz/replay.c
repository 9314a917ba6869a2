/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds a fuzz target the files of a folder: each whole and, if it is not big, cut at every length. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REPLAY_MOST = 1 << 20,
	REPLAY_CUTS = 2048,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly that size, so that a sanitizer sees a read behind the end. */
static void feed(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int replay(const char *path)
{
	static uint8_t input[REPLAY_MOST];
	FILE *file = fopen(path, "rb");
	size_t size;

	if (file == NULL) {
		perror(path);
		return 1;
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	feed(input, size);
	for (size_t cut = 0; cut < size && cut < REPLAY_CUTS; cut++)
		feed(input, cut);
	return 0;
}

int main(int argc, char **argv)
{
	char path[4096];
	struct dirent *entry;
	DIR *folder;
	int bad = 0, count = 0;

	if (argc != 2)
		return 2;
	folder = opendir(argv[1]);
	if (folder == NULL) {
		perror(argv[1]);
		return 1;
	}
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		bad |= replay(path);
		count++;
	}
	closedir(folder);
	printf("%d inputs\n", count);
	return bad || count == 0;
}
