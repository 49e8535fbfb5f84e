// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Erc721} from "./Erc721.sol";

/// Anyone mints the next number: every mint reads and writes the same counter.
contract NumberedCollectible is Erc721 {
    string public constant name = "Pleach Numbered Collectible";
    string public constant symbol = "PLNC";

    /// Ids are 0 to one below this.
    uint256 public totalSupply;

    function mint() external returns (uint256 id) {
        id = totalSupply;
        totalSupply = id + 1;
        _create(msg.sender, id);
    }
}
