#!/usr/bin/env node
import { start } from "../lib/launcher.mjs";

start(process.argv.slice(2));
