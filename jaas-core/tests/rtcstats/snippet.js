// Runs the snippet of 8x8's page "Payload structure" over statistics files.
//
//   node snippet.js snippet|server < files.json     of each file in a JSON array of texts, prints the complete statistics after
//                                                   each getstats entry, and then an empty line
//   node snippet.js bench file.ndjson rounds        prints the ms of the fastest round
//
// Sloppy mode matters: the snippet assigns to properties of numbers.

const documented = {
/**
  * The function will use `baseStats` as the base line for decompression, where
  * `newStats` is expected to contain just the differences from the base line.
  * It will go through each entry of `newStats` and reconstruct data.
  *
  * @param {Object} baseStats - Complete WebRTC statistics entry.
  * @param {Object} newStats - Delta compressed statistics entry.
  * @returns {Object} - Decompressed `newStats` entry.
  */
decompress(baseStats, newStats) {
    const timestamp = newStats.timestamp;
    Object.keys(baseStats).forEach(id => {
        // If the new statistic data does not contain a certain report we consider it was removed.
        // e.g. a ssrc was removed from the connection.
        if (!newStats[id]) {
            delete baseStats[id];
        }
    });
    // Iterate through the new entry and reconstruct it with data that hasn't changed from the base
    // stat
    Object.keys(newStats).forEach(id => {
        if (baseStats[id]) {
            const report = newStats[id];
            // Timestamp will usually be set to 0 in reports but will be saved at the stats level
            // so we don't send it unecessarely for each report in the stats object.
            report.timestamp = timestamp;
            Object.keys(report).forEach(name => {
                baseStats[id][name] = report[name];
            });
        // If there is a new report in the stats data we add the complete structure as there is no
        // base line to construct it from.
        } else {
            if (newStats[id].timestamp === 0) {
                newStats[id].timestamp = timestamp;
            }
            baseStats[id] = newStats[id];
        }
    });
    return baseStats;
},
};

// What the server does otherwise: the timestamp at the top level is taken out first, and replaces only zeros.
function server() {
    const source = documented.decompress.toString();
    const changed = source
        .replace('const timestamp = newStats.timestamp;', '$& delete newStats.timestamp;')
        .replace('report.timestamp = timestamp;', 'if (report.timestamp === 0) { $& }');
    if (!changed.includes('delete newStats.timestamp') || !changed.includes('if (report.timestamp === 0)')) {
        throw new Error('the snippet has changed');
    }
    return eval(`({ ${changed} })`);
}

function decompressAll(text, { decompress }, each) {
    const base = {};
    for (const line of text.split('\n')) {
        if (line === '') {
            continue;
        }
        const [ kind, connection, data ] = JSON.parse(line);
        if (kind.toLowerCase() === 'getstats') {
            base[connection] = base[connection] || {};
            try {
                decompress(base[connection], data);
            } catch (error) {
                // Without any report the sender's timestamp is null, on which the snippet fails, having removed them all.
                if (data.timestamp !== null) {
                    throw error;
                }
            }
            each(base[connection]);
        }
    }
}

const fs = require('fs');
const [ mode, file, rounds ] = process.argv.slice(2);
if (mode === 'bench') {
    const text = fs.readFileSync(file, 'utf8');
    let fastest = Infinity;
    for (let round = 0; round < Number(rounds); round++) {
        const began = process.hrtime.bigint();
        let entries = 0;
        decompressAll(text, documented, () => entries++);
        fastest = Math.min(fastest, Number(process.hrtime.bigint() - began) / 1e6);
    }
    console.log(fastest);
} else {
    const snippet = mode === 'server' ? server() : documented;
    for (const text of JSON.parse(fs.readFileSync(0, 'utf8'))) {
        decompressAll(text, snippet, stats => process.stdout.write(`${JSON.stringify(stats)}\n`));
        process.stdout.write('\n');
    }
}
