// SPDX-License-Identifier: Apache-2.0
#ifndef CAIRN_H
#define CAIRN_H
int cairn_placeholder(void);
#endif
